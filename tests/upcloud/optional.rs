//! What UpCloud tells besides.

use prov::model::name::Name;
use prov::provision::provider::cloud::Api;
use prov::provision::provider::optional::{Images, Prices};

use super::{Account, refused};

fn zone(text: &str) -> Name {
    Name::new(text).unwrap()
}

#[test]
fn templates_are_images_the_accounts_own_first() {
    let account = Account::new();
    let images = account.api.list_images(Some(&zone("de-fra1"))).unwrap();
    let own: Vec<&str> = images.iter().filter(|image| image.owner == "own").map(|image| &*image.name).collect();
    assert_eq!((own, images[0].owner.as_str()), (vec!["Debian 12 of our own"], "own"));
    let debian = images.iter().find(|image| image.name.contains("Bookworm")).unwrap();
    assert_eq!(
        (debian.id.as_str(), debian.owner.as_str()),
        ("01000000-0000-4000-8000-000020070100", "public"),
        "the newer of two"
    );
    assert_eq!(images.len(), 5);
}

#[test]
fn plans_have_prices_in_every_zone() {
    let account = Account::new();
    let prices = account.api.list_prices(&zone("fi-hel2")).unwrap();
    let of = |plan: &str| prices.iter().find(|price| price.plan == plan).map(|price| (price.per_hour, price.unit));
    assert_eq!((of("2xCPU-4GB"), of("DEV-1xCPU-1GB")), (Some((4.4642, "credits")), None));
    assert_eq!(prices.len(), 2, "what isn't a plan has no place among them: {prices:?}");
    let (what, _) = refused(account.api.list_prices(&zone("fi-hel3")).unwrap_err());
    assert_eq!(what, "unknown zone of UpCloud's `fi-hel3`; did you mean `fi-hel2`?");
    assert!(account.api.console().is_none());
}
