//! Signatures before somebody else's verifier, and keys from every place.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use prov::provision::provider::cloud::{Api, CallError};
use serde_json::json;

use super::{Sample, all};
use crate::support::ec2::{Ec2, Fate};
use crate::support::moto::{moto, strict_moto};

/// A call of IAM that nobody verifies.
fn iam(address: &str, query: &[(&str, &str)]) -> String {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    crate::support::run(async {
        let scope = "AWS4-HMAC-SHA256 Credential=AKID/20260101/us-east-1/iam/aws4_request";
        let request = crate::support::http().post(address).header("authorization", scope);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        request.body(body).send().await.unwrap().text().await.unwrap()
    })
}

#[test]
fn signatures_are_right() {
    let Some(moto) = strict_moto() else { return };
    let version = ("Version", "2010-05-08");
    iam(&moto.address, &[("Action", "CreateUser"), version, ("UserName", "u")]);
    let policy = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["ec2:*"], "Resource": "*"},
        {"Effect": "Deny", "Action": ["ec2:StartInstances"], "Resource": "*"}]});
    iam(
        &moto.address,
        &[
            ("Action", "PutUserPolicy"),
            version,
            ("UserName", "u"),
            ("PolicyName", "p"),
            ("PolicyDocument", &policy.to_string()),
        ],
    );
    let key = iam(&moto.address, &[("Action", "CreateAccessKey"), version, ("UserName", "u")]);
    let (id, secret) = (all(&key, "AccessKeyId")[0], all(&key, "SecretAccessKey")[0]);

    let sample = Sample::new("signed");
    let aws = |id: &str, secret: &str| {
        sample.aws_by(&[
            ("AWS_ENDPOINT_URL", moto.address.as_str()),
            ("AWS_ACCESS_KEY_ID", id),
            ("AWS_SECRET_ACCESS_KEY", secret),
        ])
    };
    let good = aws(id, secret);
    let made = sample.create(&good, "a", &json!({"user_data": "a b+c&d=ü%20\n"})).unwrap();
    assert_eq!(good.find(&sample.labels(&[])).unwrap()[0].id, made.id);
    let refused = |error: CallError, code: &str| match error {
        CallError::Refused { what, hint: Some(hint) } => {
            assert!(what.contains(code) && !what.contains(secret), "{what} {hint}");
        }
        other => panic!("{other:?}"),
    };
    refused(aws(id, "wrong").find(&sample.labels(&[])).unwrap_err(), "");
    refused(aws("AKIANOBODY", secret).find(&sample.labels(&[])).unwrap_err(), "AuthFailure");
    refused(good.start(&made).unwrap_err(), "AccessDenied");
}

/// What stands in for the metadata of a machine: answers by the path, wants the token.
fn metadata(role: &'static str) -> String {
    let listener = TcpListener::bind(crate::support::ANY_PORT).unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
            while !bytes.ends_with(b"\r\n\r\n") {
                match client.read(&mut buffer) {
                    Ok(count @ 1..) => bytes.extend_from_slice(&buffer[..count]),
                    _ => break,
                }
            }
            let head = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
            let line = head.lines().next().unwrap_or_default().to_owned();
            let path = "/latest/meta-data/iam/security-credentials/";
            let (status, body) = match () {
                () if line.starts_with("put /latest/api/token ") && head.contains("token-ttl-seconds:") => {
                    (200, "t0ken".to_owned())
                }
                () if !head.contains("x-aws-ec2-metadata-token: t0ken") => (401, String::new()),
                () if role.is_empty() => (404, String::new()),
                () if line.starts_with(&format!("get {path} ")) => (200, role.to_owned()),
                () if line.starts_with(&format!("get {path}{role} ")) => {
                    let expiration = "2099-01-01T00:00:00Z";
                    (200, json!({"Code": "Success", "AccessKeyId": "ASIAROLE", "SecretAccessKey": "s3cret", "Token": "s3ssion",
                        "Expiration": expiration}).to_string())
                }
                () => (404, String::new()),
            };
            let answer =
                format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
            let _ = client.write_all(answer.as_bytes());
        }
    });
    address
}

#[test]
fn the_role_of_the_machine_is_found_and_its_session_is_signed() {
    let Some(moto) = moto() else { return };
    let sample = Sample::new("role");
    let ec2 = Ec2::before(&moto.address, |_| Fate::Pass);
    let metadata = metadata("prov-role");
    let aws = sample.aws_by(&[
        ("AWS_ENDPOINT_URL", ec2.address.as_str()),
        ("AWS_EC2_METADATA_DISABLED", ""),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.as_str()),
    ]);
    assert_eq!(aws.find(&sample.labels(&[])).unwrap(), []);
    let head = &ec2.calls()[0].head;
    assert!(head.contains("Credential=ASIAROLE/") && head.contains("x-amz-security-token: s3ssion"), "{head}");
    assert!(head.contains(";x-amz-security-token"), "the session is signed as well: {head}");
    for (name, text) in walk(sample.workspace.root()) {
        assert!(!text.contains("s3cret") && !text.contains("s3ssion") && !text.contains("ASIAROLE"), "{name}");
    }
}

#[test]
fn a_machine_without_a_role_and_nobody_at_all_are_named() {
    let sample = Sample::new("nobody");
    let no_role = metadata("");
    for (endpoint, why) in [(no_role.as_str(), "the machine has no role"), ("http://127.0.0.1:1", "can't be reached")] {
        let aws = sample.aws_by(&[("AWS_EC2_METADATA_DISABLED", ""), ("AWS_EC2_METADATA_SERVICE_ENDPOINT", endpoint)]);
        let error = aws.find(&sample.labels(&[])).unwrap_err();
        let CallError::Refused { what, hint: Some(hint) } = error else { panic!("{error:?}") };
        assert!(what.contains("/nonexistent/.aws/credentials") && what.contains(why), "{what}");
        assert!(hint.contains("AWS_ACCESS_KEY_ID"), "{hint}");
    }
    assert!(sample.aws_by(&[]).validate(&sample.spec("a", &json!({}))).is_ok(), "to validate takes none");
}

/// Every file below a directory, with its text.
fn walk(directory: &std::path::Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(walk(&path));
        } else {
            found.push((path.display().to_string(), std::fs::read_to_string(&path).unwrap()));
        }
    }
    found
}
