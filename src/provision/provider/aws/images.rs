//! Which image a server is made of, who publishes it, and whom it lets in.
//!
//! A name alone says nothing about who published an image: anybody may call theirs `debian-12-…`. So names are looked for
//! only among those of an owner, known here or named by the settings.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::answers::{Image, Images};
use super::call::{Ec2, Fault, Query};
use super::place::Region;
use super::types;
use crate::provision::provider::cloud::CallError;
use crate::provision::provider::optional;

/// A publisher of images.
struct Publisher {
    /// How the names of its images begin.
    prefix: &'static str,
    /// Its account.
    owner: &'static str,
    /// Whom its images let in.
    login: &'static str,
}

/// Debian, Canonical, Amazon.
const PUBLISHERS: [Publisher; 4] = [
    Publisher { prefix: "debian-", owner: "136693071363", login: "admin" },
    Publisher { prefix: "ubuntu", owner: "099720109477", login: "ubuntu" },
    Publisher { prefix: "al20", owner: "amazon", login: "ec2-user" },
    Publisher { prefix: "amzn", owner: "amazon", login: "ec2-user" },
];
/// The names of images that are listed besides the account's own: those that publishers make for servers.
const LISTED: [&str; 3] = ["debian-12-*", "debian-13-*", "ubuntu/images/*-server-*"];
/// Architectures that prov has types for.
const ARCHITECTURES: [&str; 2] = ["x86_64", "arm64"];
/// Images of a page.
const PAGE: &str = "1000";
/// Pages that are read: an account has fewer images than that.
const MOST_PAGES: usize = 20;
/// Whom the image lets in that is taken where none is named.
pub const DEFAULT_LOGIN: &str = "admin";

/// Which image is meant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wish {
    /// `ami-…`, or a name with `*` and `?`.
    pub image: String,
    /// Whose it is; empty for an image by its id.
    pub owners: Vec<String>,
    /// `x86_64` or `arm64`.
    pub architecture: &'static str,
}

impl Wish {
    /// What `image` and `owner` say for a server of the type `instance_type`; Debian 12 where they say nothing.
    #[must_use]
    pub fn of(image: Option<&str>, owner: Option<&str>, instance_type: &str) -> Self {
        let architecture = types::architecture(instance_type);
        let default = if architecture == "arm64" { "debian-12-arm64-*" } else { "debian-12-amd64-*" };
        let image = image.unwrap_or(default).to_owned();
        let owners = match (is_id(&image), owner, publisher(&image)) {
            (true, ..) => Vec::new(),
            (_, Some(owner), _) => vec![owner.to_owned()],
            (_, None, Some(known)) => vec![known.owner.to_owned()],
            (_, None, None) => vec!["self".to_owned(), "amazon".to_owned()],
        };
        Self { image, owners, architecture }
    }
}

/// Whether a text is the id of an image.
#[must_use]
pub fn is_id(text: &str) -> bool {
    text.strip_prefix("ami-").is_some_and(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// Whom the image lets in; `None` where that can't be told.
#[must_use]
pub fn login(image: Option<&str>) -> Option<&'static str> {
    image.map_or(Some(DEFAULT_LOGIN), |image| publisher(image).map(|known| known.login))
}

fn publisher(image: &str) -> Option<&'static Publisher> {
    PUBLISHERS.iter().find(|publisher| image.starts_with(publisher.prefix))
}

/// The newest image that is meant.
pub fn find(ec2: &Ec2, region: &Region, wish: &Wish) -> Result<Image, CallError> {
    let query = Query::of("DescribeImages");
    let query = if is_id(&wish.image) {
        query.list("ImageId", [&wish.image])
    } else {
        let query = query.list("Owner", &wish.owners).filter("name", [&wish.image]).filter("state", ["available"]);
        query.filter("architecture", [wish.architecture])
    };
    let images: Images = ec2.call(region, &query).map_err(Fault::into_error)?;
    let newest = images.images_set.items.into_iter().max_by(|a, b| a.creation_date.cmp(&b.creation_date));
    newest.ok_or_else(|| CallError::Refused {
        what: format!("there is no image {:?} for {} in {region}", wish.image, wish.architecture),
        hint: Some(format!(
            "looked among those of {}; name another `image` (ami-… or a name with `*`) or its `image_owner`",
            if wish.owners.is_empty() { "everybody".to_owned() } else { wish.owners.join(" and ") }
        )),
    })
}

/// The images that a list shows: the account's own, then Debian's and Canonical's, of each kind the newest.
pub fn all(ec2: &Ec2, region: &Region) -> Result<Vec<optional::Image>, CallError> {
    let available = |owners: &[&str]| {
        let query = Query::of("DescribeImages").list("Owner", owners).filter("state", ["available"]);
        query.filter("architecture", ARCHITECTURES)
    };
    let own = described(ec2, region, &available(&["self"]))?;
    let owners: BTreeSet<&str> = LISTED.iter().filter_map(|name| publisher(name)).map(|known| known.owner).collect();
    let owners: Vec<&str> = owners.into_iter().collect();
    let of_publishers = described(ec2, region, &available(&owners).filter("name", LISTED))?;
    Ok(own.into_iter().map(|image| listed(image, "own")).chain(newest(of_publishers)).collect())
}

/// Images over all pages, the newest first.
fn described(ec2: &Ec2, region: &Region, query: &Query) -> Result<Vec<Image>, CallError> {
    let (mut images, mut next) = (Vec::new(), None::<String>);
    for _ in 0..MOST_PAGES {
        let query = query.clone().with("MaxResults", PAGE).maybe("NextToken", next.as_deref());
        let page: Images = ec2.call(region, &query).map_err(Fault::into_error)?;
        images.extend(page.images_set.items);
        next = page.next_token.filter(|token| !token.is_empty());
        if next.is_none() {
            break;
        }
    }
    images.sort_by(|a, b| (Reverse(&a.creation_date), &a.image_id).cmp(&(Reverse(&b.creation_date), &b.image_id)));
    Ok(images)
}

/// Of images, the newest first, those that are the newest of their kind.
fn newest(images: Vec<Image>) -> impl Iterator<Item = optional::Image> {
    let mut seen = BTreeSet::new();
    images.into_iter().filter_map(move |image| {
        let is_new = seen.insert((image.image_owner_id.clone(), kind(&image.name).to_owned()));
        is_new.then(|| {
            let owner = image.image_owner_id.clone();
            listed(image, &owner)
        })
    })
}

/// What an image is called apart from its day: `debian-12-amd64` of `debian-12-amd64-20260101-2`.
fn kind(name: &str) -> &str {
    let is_day = |part: &str| part.len() >= 8 && part.bytes().all(|byte| byte.is_ascii_digit());
    let day = name.split('-').find(|part| is_day(part));
    day.and_then(|day| name.split_once(day)).map_or(name, |(kind, _)| kind.trim_end_matches('-'))
}

fn listed(image: Image, owner: &str) -> optional::Image {
    optional::Image {
        id: image.image_id,
        name: image.name,
        owner: owner.to_owned(),
        architecture: image.architecture,
        created: Some(image.creation_date).filter(|date| !date.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_for_only_among_those_of_an_owner() {
        let of = |image, owner| Wish::of(image, owner, "t3.small");
        assert_eq!(of(None, None).owners, ["136693071363"]);
        assert_eq!(of(Some("ubuntu/images/*24.04*"), None).owners, ["099720109477"]);
        assert_eq!(of(Some("my-image"), None).owners, ["self", "amazon"]);
        assert_eq!(of(Some("debian-12-*"), Some("self")).owners, ["self"]);
        assert_eq!(of(Some("ami-0abc"), Some("self")).owners, [""; 0]);
        assert_eq!(Wish::of(None, None, "t4g.small").image, "debian-12-arm64-*");
    }

    #[test]
    fn an_image_is_of_the_kind_that_its_name_says_without_its_day() {
        for (name, of) in [
            ("debian-12-amd64-20260101-2", "debian-12-amd64"),
            (
                "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20260126",
                "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server",
            ),
            ("our-own", "our-own"),
        ] {
            assert_eq!(kind(name), of);
        }
    }

    #[test]
    fn whom_an_image_lets_in_is_known_of_those_with_a_known_publisher() {
        assert_eq!((login(None), login(Some("al2023-ami-*"))), (Some("admin"), Some("ec2-user")));
        assert_eq!((login(Some("ami-0abc")), login(Some("my-image"))), (None, None));
    }
}
