//! A server from its order to its end, and what stays of it.

use prov::provision::provider::cloud::{Api, CallError, Deletion, MachineState, SERVER, TOKEN};
use serde_json::json;

use super::{PUBLIC_KEY, REGION, Sample, all, ask};
use crate::support::ec2::{Ec2, Fate};
use crate::support::moto::{moto, regions_file};

#[test]
fn a_server_is_made_found_relabelled_and_deleted() {
    let Some(moto) = moto() else { return };
    let sample = Sample::new("life");
    let aws = sample.aws(&moto.address);
    let made = sample.create(&aws, "web", &json!({})).unwrap();
    assert_eq!((made.zone.as_str(), made.plan), (REGION, "1xCPU-2 GB".parse().ok()));
    assert_eq!(made.labels, sample.labels(&[(SERVER, "web"), (TOKEN, "life-web"), ("team", "x")]));

    let found = aws.find(&sample.labels(&[(SERVER, "web")])).unwrap();
    assert_eq!((found.len(), &found[0].id, found[0].state), (1, &made.id, MachineState::Running));
    assert!(found[0].address.is_some() && found[0].notes[0].contains("t3.small, which has 2 processors"), "{found:?}");
    assert_eq!(aws.find(&sample.labels(&[(SERVER, "w*")])).unwrap(), [], "a star is a star");

    aws.start(&found[0]).unwrap();
    let labels = sample.labels(&[(SERVER, "web"), ("team", "y"), ("tier", "1")]);
    aws.relabel(&found[0], &labels).unwrap();
    assert_eq!(aws.find(&labels).unwrap()[0].labels, labels);

    assert_eq!(aws.delete(&found[0]).unwrap(), Deletion::Going);
    assert_eq!(aws.find(&labels).unwrap(), []);
    assert_eq!(aws.delete(&found[0]).unwrap(), Deletion::Gone);
}

#[test]
fn one_call_gives_a_machine_everything_it_carries() {
    let Some(moto) = moto() else { return };
    let sample = Sample::new("carries");
    let ec2 = Ec2::before(&moto.address, |_| Fate::Pass);
    let aws = sample.aws(&ec2.address);
    let made = sample.create(&aws, "a", &json!({"zone": "eu-west-1b", "root_gb": 20})).unwrap();
    let seen =
        ask(&moto.address, REGION, &format!("Action=DescribeInstances&Version=2016-11-15&InstanceId.1={}", made.id));
    assert_eq!(all(&seen, "imageId"), ["ami-00000000000000002"], "the newest of Debian's own");
    assert_eq!((all(&seen, "instanceType"), all(&seen, "clientToken")), (vec!["t3.small"], vec!["carries-a"]));
    assert!(all(&seen, "availabilityZone").contains(&"eu-west-1b") && made.zone == "eu-west-1b");
    for tag in
        ["<key>Name</key>", "<key>prov-infra</key>", "<key>prov-token</key>", "<value>1xCPU-2 GB = t3.small</value>"]
    {
        assert!(seen.contains(tag), "{tag} in {seen}");
    }
    let volume = all(&seen, "volumeId")[0];
    let disk = ask(&moto.address, REGION, &format!("Action=DescribeVolumes&Version=2016-11-15&VolumeId.1={volume}"));
    assert_eq!(all(&disk, "size"), ["20"]);
    assert!(all(&seen, "ebs").iter().all(|disk| all(disk, "deleteOnTermination") == ["true"]), "{seen}");
    let actions: Vec<String> = ec2.calls().into_iter().map(|call| call.action).collect();
    assert_eq!(actions[actions.len() - 1], "RunInstances");
    assert_eq!(ec2.count("CreateTags"), 0);
}

#[test]
fn an_infra_has_one_group_that_lets_ssh_in_and_one_key_pair() {
    let Some(moto) = moto() else { return };
    let sample = Sample::new("shared");
    let ec2 = Ec2::before(&moto.address, |_| Fate::Pass);
    let aws = sample.aws(&ec2.address);
    let names: Vec<String> = (0..6).map(|number| format!("s{number}")).collect();
    std::thread::scope(|scope| {
        for name in &names {
            scope.spawn(|| sample.create(&aws, name, &json!({})).unwrap());
        }
    });
    assert_eq!(aws.find(&sample.labels(&[])).unwrap().len(), 6);
    let query =
        "Action=DescribeSecurityGroups&Version=2016-11-15&Filter.1.Name=group-name&Filter.1.Value.1=prov-shared";
    let group = ask(&moto.address, REGION, query);
    assert_eq!((all(&group, "fromPort"), all(&group, "cidrIp")[0]), (vec!["22"], "0.0.0.0/0"));
    assert!(group.contains("<key>prov-infra</key>"), "{group}");
    for action in ["CreateSecurityGroup", "AuthorizeSecurityGroupIngress", "ImportKeyPair", "DescribeImages"] {
        assert_eq!(ec2.count(action), 1, "{action}: once for all six");
    }
    // Another process finds what is there.
    sample.create(&sample.aws(&ec2.address), "late", &json!({})).unwrap();
    assert_eq!((ec2.count("CreateSecurityGroup"), ec2.count("AuthorizeSecurityGroupIngress")), (1, 1));
    assert_eq!(ec2.count("ImportKeyPair"), 2, "a key pair that is there counts as imported");
    let key = ec2.calls().into_iter().find(|call| call.action == "ImportKeyPair").unwrap();
    assert!(key.params["KeyName"].starts_with("prov-") && !key.params["KeyName"].contains(PUBLIC_KEY));
}

#[test]
fn named_fields_reach_ec2() {
    let Some(moto) = moto() else { return };
    let sample = Sample::new("named");
    let aws = sample.aws(&moto.address);
    let network = ask(
        &moto.address,
        REGION,
        "Action=DescribeSubnets&Version=2016-11-15&Filter.1.Name=availability-zone&Filter.1.Value.1=eu-west-1a",
    );
    let subnet = all(&network, "subnetId")[0];
    let fields = json!({"instance_type": "m6i.large", "image": "ubuntu/images/noble-*", "subnet": subnet,
        "security_groups": ["default"], "public_ip": true, "user_data": "#!/bin/sh\ntrue\n", "zone": "eu-west-1a"});
    let made = sample.create(&aws, "a", &fields).unwrap();
    let seen =
        ask(&moto.address, REGION, &format!("Action=DescribeInstances&Version=2016-11-15&InstanceId.1={}", made.id));
    assert_eq!((all(&seen, "imageId"), all(&seen, "instanceType")), (vec!["ami-00000000000000005"], vec!["m6i.large"]));
    assert!(all(&seen, "groupName").contains(&"default") && all(&seen, "subnetId").contains(&subnet), "{seen}");
    assert_eq!(made.plan, "1xCPU-2 GB".parse().ok(), "as it was asked for");
    assert_eq!(aws.login(&sample.spec("a", &fields)), "ubuntu");
}

#[test]
fn a_secret_reaches_ec2_and_no_message() {
    let Some(moto) = moto() else { return };
    let sample = Sample::new("secret");
    let ec2 = Ec2::before(&moto.address, |_| Fate::Pass);
    let aws = sample.aws(&ec2.address);
    let file = sample.workspace.root().join("boot");
    std::fs::write(&file, "hunter2-at-boot").unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let secret = json!({"secret": {"file": "boot"}});
    sample.create(&aws, "a", &json!({"user_data": secret})).unwrap();
    let order = ec2.calls().pop().unwrap();
    assert_eq!(order.params["UserData"], "aHVudGVyMi1hdC1ib290");
    let error = sample.create(&aws, "b", &json!({"image": secret})).unwrap_err().to_string();
    assert!(error.contains("there is no image") && !error.contains("hunter2"), "{error}");
}

#[test]
fn what_ec2_would_refuse_is_refused_with_its_words() {
    let Some(moto) = moto() else { return };
    let sample = Sample::new("refused");
    let aws = sample.aws(&moto.address);
    for (fields, words) in [
        (json!({"instance_type": "t3.enormous"}), "t3.enormous"),
        (json!({"image": "ami-0000000000000000f"}), "ami-0000000000000000f"),
        (json!({"image": "windows-*"}), "there is no image \"windows-*\" for x86_64"),
        (json!({"key_name": "nobodys"}), "nobodys"),
        (json!({"security_groups": ["nobodys"]}), "there is no security group \"nobodys\""),
        (json!({"security_groups": ["sg-0000000f"]}), "sg-0000000f"),
        (json!({"subnet": "subnet-0000000f"}), "subnet-0000000f"),
        (json!({"zone": "eu-west-1x"}), "eu-west-1x"),
    ] {
        let error = sample.create(&aws, "a", &fields).unwrap_err();
        assert!(matches!(error, CallError::Refused { .. }) && error.to_string().contains(words), "{error}");
    }
    assert_eq!(aws.find(&sample.labels(&[])).unwrap(), []);
}

#[test]
fn machines_are_found_wherever_they_are() {
    let Some(moto) = moto() else { return };
    let sample = Sample::new("wide");
    let file = regions_file(sample.workspace.root());
    let watched = file.clone();
    let ec2 = Ec2::before(&moto.address, move |call| {
        if call.action == "RunInstances" {
            let text = std::fs::read_to_string(&watched).unwrap();
            assert!(text.contains("us-east-2"), "remembered before the order goes out");
        }
        Fate::Pass
    });
    let aws = sample.aws(&ec2.address);
    let made = sample.create(&aws, "far", &json!({"zone": "us-east-2c"})).unwrap();
    assert_eq!(aws.find(&sample.labels(&[])).unwrap()[0].id, made.id);
    // Another process of this workspace knows it, and so does a fresh copy of the workspace, from anywhere.
    assert_eq!(sample.aws(&ec2.address).find(&sample.labels(&[])).unwrap().len(), 1);
    let copy = Sample::fresh("wide");
    let variables = [
        ("AWS_ENDPOINT_URL_EC2", moto.address.as_str()),
        ("AWS_ACCESS_KEY_ID", "AKIDTEST"),
        ("AWS_SECRET_ACCESS_KEY", "s3cret"),
        ("AWS_REGION", ""),
    ];
    assert_eq!(copy.aws_by(&variables).find(&copy.labels(&[])).unwrap()[0].id, made.id);
    assert!(std::fs::read_to_string(regions_file(copy.workspace.root())).unwrap().contains("us-east-2"));
    assert_eq!(aws.delete(&made).unwrap(), Deletion::Going);
}

#[test]
fn the_catalogue_has_the_plans_and_every_zone() {
    let Some(moto) = moto() else { return };
    let catalogue = Sample::new("catalogue").aws(&moto.address).catalogue().unwrap();
    for zone in [REGION, "eu-west-1a", "us-east-1", "us-east-1f"] {
        assert!(catalogue.zones.iter().any(|known| known == zone), "{zone} in {:?}", catalogue.zones);
    }
    assert!(catalogue.plans.iter().any(|offer| offer.name == "t3.small"));
}
