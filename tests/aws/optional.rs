//! What EC2 tells besides.

use prov::model::name::Name;
use prov::provision::provider::cloud::{Api, CallError, MachineConsole};
use prov::provision::provider::optional::Images;
use serde_json::json;

use super::Sample;
use crate::support::ec2::{Ec2, Fate};
use crate::support::moto::moto;

#[test]
fn images_are_those_of_publishers_the_newest_of_each_kind() {
    let Some(moto) = moto() else { return };
    let sample = Sample::new("images");
    let images = sample.aws(&moto.address).list_images(Some(&Name::new("eu-west-1a").unwrap())).unwrap();
    let debian: Vec<&str> = images.iter().filter(|it| it.name.starts_with("debian-")).map(|it| &*it.name).collect();
    assert_eq!(debian, ["debian-12-amd64-20260101-2", "debian-12-arm64-20260101-2"], "{images:?}");
    assert!(images.iter().all(|image| image.owner != "999999999999"), "a name makes nobody a publisher");
    assert_eq!(images.iter().find(|it| it.name.contains("arm64")).unwrap().architecture.as_deref(), Some("arm64"));
    let error = sample.aws(&moto.address).list_images(Some(&Name::new("de-fra1").unwrap())).unwrap_err();
    assert!(matches!(error, CallError::Refused { hint: Some(_), .. }), "{error:?}");
}

#[test]
fn images_come_in_pages() {
    let Some(moto) = moto() else { return };
    let sample = Sample::new("pages");
    let more =
        |text: String| text.replace("</DescribeImagesResponse>", "<nextToken>t/2</nextToken></DescribeImagesResponse>");
    let mut pages = 0;
    let ec2 = Ec2::before(&moto.address, move |_| {
        pages += 1;
        if pages == 1 { Fate::Edit(more) } else { Fate::Pass }
    });
    sample.aws(&ec2.address).list_images(None).unwrap();
    let tokens: Vec<Option<String>> = ec2.calls().iter().map(|call| call.params.get("NextToken").cloned()).collect();
    assert_eq!(tokens, [None, Some("t/2".to_owned()), None]);
    assert_eq!(ec2.calls()[1].params["MaxResults"], "1000");
}

#[test]
fn a_console_tells_the_latest_where_the_type_can() {
    let Some(moto) = moto() else { return };
    let sample = Sample::new("console");
    let ec2 = Ec2::before(&moto.address, |call| match call.params.get("Latest") {
        Some(_) if call.action == "GetConsoleOutput" => Fate::Refuse(400, "UnsupportedOperation", None),
        _ => Fate::Pass,
    });
    let aws = sample.aws(&ec2.address);
    let machine = sample.create(&aws, "a", &json!({})).unwrap();
    let written = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    assert!(written(aws.read_machine_console(&machine).unwrap()).starts_with("Linux version"));
    let asked = ec2.calls().iter().filter(|call| call.action == "GetConsoleOutput").count();
    assert_eq!(asked, 2, "the latest, then what there is");
    let aws = sample.aws(&moto.address);
    assert!(written(aws.read_machine_console(&machine).unwrap()).contains("Kernel command line"));
    assert!(aws.prices().is_none());
}
