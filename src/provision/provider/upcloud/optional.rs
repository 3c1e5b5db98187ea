//! What UpCloud tells besides: templates and prices. Its consoles are screens, which nobody can read here.

use super::UpCloud;
use super::wire::{PriceList, Template, Templates};
use crate::model::name::Name;
use crate::model::nearest::unknown;
use crate::provision::provider::cloud::CallError;
use crate::provision::provider::optional::{Image, Images, Price, Prices};

impl Images<CallError> for UpCloud {
    fn list_images(&self, zone: Option<&Name>) -> Result<Vec<Image>, CallError> {
        let templates: Templates = self.session()?.get("/storage/template", &[])?;
        // Public ones can be had everywhere, own ones where they are.
        let is_there = |template: &&Template| zone.is_none_or(|zone| ["", zone.as_str()].contains(&&*template.zone));
        let mut there: Vec<&Template> = templates.rows().iter().filter(is_there).collect();
        // UpCloud counts its ids up.
        there.sort_by(|a, b| (a.is_public(), &a.title, &b.uuid).cmp(&(b.is_public(), &b.title, &a.uuid)));
        Ok(there.into_iter().map(image).collect())
    }
}

fn image(template: &Template) -> Image {
    Image {
        id: template.uuid.clone(),
        name: template.title.clone(),
        owner: if template.is_public() { "public" } else { "own" }.to_owned(),
        architecture: None,
        created: None,
    }
}

impl Prices<CallError> for UpCloud {
    fn list_prices(&self, zone: &Name) -> Result<Vec<Price>, CallError> {
        let list: PriceList = self.session()?.get("/price", &[])?;
        list.of(zone.as_str()).ok_or_else(|| {
            let zones: Vec<&str> = list.zones().collect();
            CallError::Refused { what: unknown("zone of UpCloud's", zone.as_str(), &zones), hint: None }
        })
    }
}
