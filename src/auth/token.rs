//! Access tokens: short-lived JWTs (RFC 9068), signed with Ed25519, checked as RFC 8725 asks.
//!
//! Algorithm, type, issuer and audience are pinned, and the key is one of the ring: the token's `kid` only says which. A
//! header holds `alg`, `typ` and `kid` and nothing else, each once; one that brings a key or names a place to fetch it from
//! is not ours.
//!
//! A signature costs more than all else that is done for a small request, so what was verified is remembered, by the digest
//! of the token. Whether the time is right, and what became of session and user, is asked each time.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::keys::{KeyRing, SKEW};
use crate::model::digest::sha256;
use crate::model::id::{SessionId, UserId};
use crate::model::time::Timestamp;
use crate::model::user::{Role, User};

/// How long an access token is good for.
pub const ACCESS_LIFETIME: Duration = Duration::from_mins(15);
const ISSUER: &str = "prov";
const AUDIENCE: &str = "prov-api";
const TYPE: &str = "at+jwt";
/// The longest token that is looked at, in bytes.
const LONGEST: usize = 8192;
/// Tokens remembered at most; above that all are forgotten and verified again.
const MOST: usize = 10_000;

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    iss: String,
    aud: String,
    /// The user.
    pub sub: UserId,
    /// The token's own id.
    pub jti: uuid::Uuid,
    /// The session it belongs to.
    pub sid: SessionId,
    /// When it was made, in seconds since the epoch.
    pub iat: i64,
    /// When it stops being good, in seconds since the epoch.
    pub exp: i64,
    /// From when it is good, in seconds since the epoch; with `iat` where it isn't said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nbf: Option<i64>,
    /// The user's name.
    pub username: String,
    /// The user's roles when it was made.
    pub roles: Vec<Role>,
    /// Whether a second factor was given.
    pub mfa: bool,
}

impl Claims {
    /// When the token stops being good.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        Timestamp(self.exp.saturating_mul(1000))
    }

    /// Whether the times are such as we write them: signed before now, good from then on, for no longer than tokens are.
    fn are_plausible(&self, now: Timestamp) -> bool {
        let latest = now.plus(SKEW).seconds();
        let lifetime = i64::try_from(ACCESS_LIFETIME.as_secs()).unwrap_or(i64::MAX);
        self.iat <= latest
            && self.nbf.is_none_or(|nbf| nbf <= latest)
            && self.exp > self.iat
            && self.exp <= self.iat.saturating_add(lifetime)
    }
}

/// Why a token is not good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is no token of ours, or was changed.
    #[error("the token is not valid")]
    Invalid,
    /// It was good.
    #[error("the token has expired")]
    Expired,
    /// It can't be signed.
    #[error("the token can't be signed")]
    Unsigned,
}

/// The header of a token of ours. Unknown and repeated parameters are errors.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OurHeader {
    alg: String,
    typ: String,
    kid: String,
}

impl OurHeader {
    fn read(token: &str) -> Option<Self> {
        let (header, _) = token.split_once('.')?;
        let header: Self = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()?;
        (header.alg == "EdDSA" && header.typ == TYPE).then_some(header)
    }
}

/// A key of the ring, ready to verify.
struct Verifier {
    kid: String,
    decoding: DecodingKey,
}

/// Signs and checks tokens with the keys of one ring.
pub struct Tokens {
    ring: KeyRing,
    encoding: EncodingKey,
    header: Header,
    /// One for each key of the ring, in the ring's order.
    verifiers: Vec<Verifier>,
    validation: Validation,
    /// Tokens of this ring that were verified, by digest: nobody finds a token in memory.
    verified: RwLock<HashMap<[u8; 32], Verified>>,
}

/// A token whose signature is good.
#[derive(Clone)]
struct Verified {
    claims: Arc<Claims>,
    /// The place of its key in the ring.
    key: usize,
}

impl Tokens {
    /// Over a ring.
    #[must_use]
    pub fn new(ring: KeyRing) -> Self {
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TYPE.to_owned());
        header.kid = Some(ring.signing().kid().to_owned());
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // Time is checked by hand below, against the time that is given.
        validation.validate_exp = false;
        let verifiers = ring.entries().map(|entry| Verifier {
            kid: entry.key.kid().to_owned(),
            decoding: DecodingKey::from_ed_der(entry.key.public()),
        });
        Self {
            encoding: EncodingKey::from_ed_der(ring.signing().pkcs8()),
            header,
            verifiers: verifiers.collect(),
            validation,
            verified: RwLock::default(),
            ring,
        }
    }

    /// The keys.
    #[must_use]
    pub fn ring(&self) -> &KeyRing {
        &self.ring
    }

    /// The public keys that tokens can be checked with, as a JWK set.
    #[must_use]
    pub fn jwks(&self, now: Timestamp) -> Value {
        self.ring.jwks(now)
    }

    /// A token for a user's session.
    ///
    /// # Errors
    /// When it can't be signed.
    pub fn issue(
        &self,
        user: &User,
        sid: SessionId,
        mfa: bool,
        now: Timestamp,
    ) -> Result<(String, Claims), TokenError> {
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: user.id,
            jti: uuid::Uuid::now_v7(),
            sid,
            iat: now.seconds(),
            exp: now.plus(ACCESS_LIFETIME).seconds(),
            nbf: None,
            username: user.username.clone(),
            roles: user.roles.clone(),
            mfa,
        };
        let token = jsonwebtoken::encode(&self.header, &claims, &self.encoding).map_err(|_| TokenError::Unsigned)?;
        Ok((token, claims))
    }

    /// What a good token says.
    ///
    /// # Errors
    /// When it isn't good. The two reasons differ because a client refreshes on one and gives up on the other.
    pub fn check(&self, token: &str, now: Timestamp) -> Result<Arc<Claims>, TokenError> {
        if token.len() > LONGEST {
            return Err(TokenError::Invalid);
        }
        let Verified { claims, key } = self.verified(token)?;
        let entry = self.ring.entries().nth(key).ok_or(TokenError::Invalid)?;
        // A key that was taken from us signs nothing new once another one has taken over.
        let too_late = entry.retired_at.is_some_and(|retired| claims.iat > retired.plus(SKEW).seconds());
        if too_late || !claims.are_plausible(now) {
            return Err(TokenError::Invalid);
        }
        if claims.exp <= now.seconds() || !entry.verifies(now) { Err(TokenError::Expired) } else { Ok(claims) }
    }

    /// What a token says that one of our keys signed, whatever the time.
    fn verified(&self, token: &str) -> Result<Verified, TokenError> {
        let digest = sha256(token.as_bytes());
        if let Some(known) = self.verified.read().unwrap_or_else(PoisonError::into_inner).get(&digest) {
            return Ok(known.clone());
        }
        let header = OurHeader::read(token).ok_or(TokenError::Invalid)?;
        let mut keys = self.verifiers.iter().enumerate();
        let (key, ours) = keys.find(|(_, key)| key.kid == header.kid).ok_or(TokenError::Invalid)?;
        let decoded = jsonwebtoken::decode::<Claims>(token, &ours.decoding, &self.validation);
        let verified = Verified { claims: Arc::new(decoded.map_err(|_| TokenError::Invalid)?.claims), key };
        let mut known = self.verified.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(digest, verified.clone());
        Ok(verified)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::keys::SigningKey;
    use aws_lc_rs::hmac;
    use aws_lc_rs::signature::Ed25519KeyPair;
    use serde_json::json;

    const NOW: Timestamp = Timestamp(1_790_000_000_000);

    fn user() -> User {
        let (id, username) = (UserId(uuid::Uuid::from_u128(7)), "alice".to_owned());
        User { id, username, email: String::new(), roles: vec![Role::Admin], created_at: Timestamp(0) }
    }

    fn tokens() -> Tokens {
        Tokens::new(KeyRing::of(SigningKey::generate(Timestamp(0)).unwrap()))
    }

    fn issued(tokens: &Tokens, now: Timestamp) -> String {
        tokens.issue(&user(), SessionId(uuid::Uuid::from_u128(9)), false, now).unwrap().0
    }

    fn encoded(text: impl AsRef<[u8]>) -> String {
        URL_SAFE_NO_PAD.encode(text)
    }

    fn part(token: &str, place: usize) -> Value {
        let part = token.split('.').nth(place).unwrap();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    }

    /// A token with any header and claims, truly signed by a key.
    fn signed(key: &SigningKey, header: &str, claims: &str) -> String {
        let text = format!("{}.{}", encoded(header), encoded(claims));
        let signature = Ed25519KeyPair::from_pkcs8(key.pkcs8()).unwrap().sign(text.as_bytes());
        format!("{text}.{}", encoded(signature.as_ref()))
    }

    /// Our own header and claims with some replaced, truly signed by our own key; `null` leaves one out.
    fn changed(tokens: &Tokens, place: usize, changes: Value) -> String {
        let token = issued(tokens, NOW);
        let mut parts = [part(&token, 0), part(&token, 1)];
        let Value::Object(changes) = changes else { panic!("no changes: {changes}") };
        let part = parts[place].as_object_mut().unwrap();
        part.extend(changes);
        part.retain(|_, value| !value.is_null());
        signed(tokens.ring().signing(), &parts[0].to_string(), &parts[1].to_string())
    }

    fn refused(tokens: &Tokens, token: &str) {
        assert_eq!(tokens.check(token, NOW), Err(TokenError::Invalid), "{token}");
    }

    #[test]
    fn a_token_is_good_until_it_expires() {
        let tokens = tokens();
        let token = issued(&tokens, NOW);
        assert_eq!(tokens.check(&token, NOW).unwrap().username, "alice");
        let end = NOW.plus(ACCESS_LIFETIME);
        assert!(tokens.check(&token, Timestamp(end.0 - 1)).is_ok());
        assert_eq!(tokens.check(&token, end), Err(TokenError::Expired));
        assert!(tokens.check(&changed(&tokens, 0, json!({})), NOW).is_ok(), "the forge of these tests makes good ones");
    }

    #[test]
    fn no_other_algorithm_is_taken() {
        let tokens = tokens();
        let token = issued(&tokens, NOW);
        let parts: Vec<&str> = token.split('.').collect();
        for alg in ["none", "None", "", "HS256", "RS256", "ES256", "Ed25519", "eddsa"] {
            let mut header = part(&token, 0);
            header["alg"] = alg.into();
            let header = encoded(header.to_string());
            refused(&tokens, &format!("{header}.{}.{}", parts[1], parts[2]));
            refused(&tokens, &format!("{header}.{}.", parts[1]));
            refused(&tokens, &format!("{header}.{}", parts[1]));
            refused(&tokens, &changed(&tokens, 0, json!({ "alg": alg })));
        }
        refused(&tokens, &changed(&tokens, 0, json!({ "alg": null })));
        refused(&tokens, &format!("{}.{}.", parts[0], parts[1]));
    }

    #[test]
    fn the_public_key_is_no_shared_secret() {
        let tokens = tokens();
        let token = issued(&tokens, NOW);
        let mut header = part(&token, 0);
        header["alg"] = "HS256".into();
        let text = format!("{}.{}", encoded(header.to_string()), token.split('.').nth(1).unwrap());
        let jwk = tokens.jwks(NOW)["keys"][0].clone();
        let public = tokens.ring().signing().public();
        for secret in [public, jwk["x"].as_str().unwrap().as_bytes(), jwk.to_string().as_bytes()] {
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), text.as_bytes());
            refused(&tokens, &format!("{text}.{}", encoded(tag.as_ref())));
        }
    }

    #[test]
    fn only_keys_of_the_ring_verify() {
        let (tokens, other) = (tokens(), self::tokens());
        let foreign = issued(&other, NOW);
        refused(&tokens, &foreign);
        let (ours, theirs) = (tokens.ring().signing(), other.ring().signing());
        let claims = part(&foreign, 1).to_string();
        refused(
            &tokens,
            &signed(theirs, &json!({"alg": "EdDSA", "typ": TYPE, "kid": ours.kid()}).to_string(), &claims),
        );
        for kid in ["", "../keys/0.pk8", "/dev/null", "' OR 1=1 --", "\0", "*", theirs.kid(), &ours.kid()[1..]] {
            refused(&tokens, &changed(&tokens, 0, json!({ "kid": kid })));
        }
        for kid in [json!(null), json!(1), json!([ours.kid()]), json!({ "kid": ours.kid() })] {
            refused(&tokens, &changed(&tokens, 0, json!({ "kid": kid })));
        }
    }

    #[test]
    fn keys_that_a_token_brings_or_names_are_not_used() {
        let (tokens, other) = (tokens(), self::tokens());
        let jwk = other.jwks(NOW)["keys"][0].clone();
        let claims = part(&issued(&tokens, NOW), 1).to_string();
        for (name, value) in [
            ("jwk", jwk),
            ("jku", json!("https://mallory.example/jwks.json")),
            ("x5u", json!("https://mallory.example/chain.pem")),
            ("x5c", json!(["MIIB"])),
            ("crit", json!(["exp"])),
            ("zip", json!("DEF")),
        ] {
            for kid in [tokens.ring().signing().kid(), other.ring().signing().kid()] {
                let header = json!({"alg": "EdDSA", "typ": TYPE, "kid": kid, name: value});
                refused(&tokens, &signed(other.ring().signing(), &header.to_string(), &claims));
            }
            refused(&tokens, &changed(&tokens, 0, json!({ name: value })));
        }
    }

    #[test]
    fn a_parameter_or_claim_that_stands_twice_is_refused() {
        let tokens = tokens();
        let key = tokens.ring().signing();
        let token = issued(&tokens, NOW);
        let (header, claims) = (part(&token, 0).to_string(), part(&token, 1).to_string());
        for twice in [r#""alg":"none""#, r#""alg":"EdDSA""#, r#""typ":"JWT""#, r#""kid":"x""#] {
            refused(&tokens, &signed(key, &header.replacen('{', &format!("{{{twice},"), 1), &claims));
        }
        for twice in [r#""exp":9999999999"#, r#""username":"mallory""#, r#""roles":[]"#] {
            refused(&tokens, &signed(key, &header, &claims.replacen('{', &format!("{{{twice},"), 1)));
        }
    }

    #[test]
    fn what_was_changed_is_not_taken() {
        let tokens = tokens();
        let token = issued(&tokens, NOW);
        let parts: Vec<&str> = token.split('.').collect();
        for (name, value) in [("username", json!("mallory")), ("exp", json!(i64::MAX)), ("mfa", json!(true))] {
            let mut claims = part(&token, 1);
            claims[name] = value;
            refused(&tokens, &format!("{}.{}.{}", parts[0], encoded(claims.to_string()), parts[2]));
        }
        for place in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
            refused(&tokens, &String::from_utf8(bytes).unwrap());
        }
        for wrong in ["", ".", "..", "...", "a.b.c", &format!("{token}."), &format!(" {token}"), &format!("{token}=")] {
            refused(&tokens, wrong);
        }
    }

    #[test]
    fn issuer_audience_and_type_are_ours() {
        let tokens = tokens();
        for (name, values) in [
            ("iss", [json!("else"), json!(null), json!(["prov"])]),
            ("aud", [json!("prov"), json!(null), json!(["prov-api", "else"])]),
            ("sub", [json!("alice"), json!(null), json!("")]),
        ] {
            for value in values {
                refused(&tokens, &changed(&tokens, 1, json!({ name: value })));
            }
        }
        for typ in [json!("JWT"), json!(null), json!("id+jwt"), json!("AT+JWT"), json!("application/at+jwt")] {
            refused(&tokens, &changed(&tokens, 0, json!({ "typ": typ })));
        }
    }

    #[test]
    fn times_are_plausible() {
        let tokens = tokens();
        let now = NOW.seconds();
        let times = |iat: i64, exp: i64, nbf: i64| changed(&tokens, 1, json!({"iat": iat, "exp": exp, "nbf": nbf}));
        assert!(tokens.check(&times(now, now + 900, now), NOW).is_ok());
        assert!(tokens.check(&times(now + 60, now + 900, now + 60), NOW).is_ok(), "a clock was a minute ahead");
        for (iat, exp, nbf) in [
            (now + 61, now + 900, now),
            (now, now + 900, now + 61),
            (now, now + 901, now),
            (now, i64::MAX, now),
            (i64::MIN, i64::MAX, i64::MIN),
            (now, now, now),
            (now, i64::MIN, now),
        ] {
            refused(&tokens, &times(iat, exp, nbf));
        }
        for missing in ["iat", "exp"] {
            refused(&tokens, &changed(&tokens, 1, json!({ missing: null })));
        }
        refused(&tokens, &changed(&tokens, 1, json!({"exp": "9999999999"})));
    }

    #[test]
    fn what_is_remembered_of_a_token_outlasts_neither_its_time_nor_its_key() {
        let tokens = tokens();
        let (token, claims) = tokens.issue(&user(), SessionId(uuid::Uuid::from_u128(9)), false, NOW).unwrap();
        for _ in 0..2 {
            assert_eq!(*tokens.check(&token, NOW).unwrap(), claims);
        }
        assert_eq!(tokens.verified.read().unwrap().len(), 1);
        assert_eq!(tokens.check(&token, NOW.plus(ACCESS_LIFETIME)), Err(TokenError::Expired));
        let mut changed = token.clone().into_bytes();
        let last = changed.len() - 3;
        changed[last] = if changed[last] == b'A' { b'B' } else { b'A' };
        assert_eq!(tokens.check(&String::from_utf8(changed).unwrap(), NOW), Err(TokenError::Invalid));
        assert_eq!(tokens.verified.read().unwrap().len(), 1, "only what is good is remembered");
    }

    #[test]
    fn a_long_token_is_not_looked_at() {
        let tokens = tokens();
        let long = |name: usize| changed(&tokens, 1, json!({ "username": "x".repeat(name) }));
        assert!(tokens.check(&long(5_000), NOW).is_ok());
        let token = long(6_000);
        assert!(token.len() > LONGEST);
        refused(&tokens, &token);
    }

    #[test]
    fn a_rotation_logs_nobody_out_and_a_key_that_retired_signs_nothing_new() {
        let before = tokens();
        let token = issued(&before, NOW);
        let rotated = NOW.plus(Duration::from_secs(10));
        let after = Tokens::new(before.ring().rotate(rotated).unwrap());
        assert!(after.check(&token, rotated).is_ok());
        assert!(after.check(&issued(&after, rotated), rotated).is_ok());
        assert!(after.check(&token, Timestamp(NOW.plus(ACCESS_LIFETIME).0 - 1)).is_ok());
        assert_eq!(after.check(&token, NOW.plus(ACCESS_LIFETIME)), Err(TokenError::Expired));
        let later = rotated.plus(Duration::from_mins(5));
        assert_eq!(after.check(&issued(&before, later), later), Err(TokenError::Invalid), "the old key was stolen");
        assert_eq!(before.check(&issued(&after, rotated), rotated), Err(TokenError::Invalid), "a key not heard of");
        let over = rotated.plus(ACCESS_LIFETIME).plus(SKEW);
        let last = Tokens::new(after.ring().without_over(over));
        assert_eq!(last.check(&token, over), Err(TokenError::Invalid));
    }
}
