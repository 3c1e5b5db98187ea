//! What proves who somebody is: passwords, second factors, signing keys, tokens, sessions. Functions on data they are given.
//!
//! Owns argon2, the signing algorithm and the JWT library. Knows no store, no HTTP and no clock; users, their roles and
//! sessions come in as records and go out as records, and no file but those of the keys
//! ([`key_files`], [`audit_key`]).

pub mod api_token;
pub mod audit_key;
pub mod backup;
pub mod key_files;
pub mod keys;
pub mod lockout;
pub mod password;
pub mod rules;
pub mod secret;
pub mod session;
pub mod token;
pub mod totp;
