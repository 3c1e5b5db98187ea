//! Access tokens: short-lived JWTs, signed with Ed25519, checked as RFC 8725 asks: algorithm, type, issuer and audience
//! are pinned, and the key is ours, never one the token names.

use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use super::keys::SigningKey;
use crate::model::id::{SessionId, UserId};
use crate::model::time::Timestamp;
use crate::model::user::{Role, User};

/// How long an access token is good for.
pub const ACCESS_LIFETIME: Duration = Duration::from_mins(15);
const ISSUER: &str = "prov";
const AUDIENCE: &str = "prov-api";
const TYPE: &str = "at+jwt";
/// The longest token that is looked at, in bytes.
const LONGEST: usize = 4096;

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

/// Signs and checks tokens.
pub struct Tokens {
    encoding: EncodingKey,
    decoding: DecodingKey,
    header: Header,
    validation: Validation,
}

impl Tokens {
    /// Over one key.
    ///
    /// # Errors
    /// When the key is none that the library takes.
    pub fn new(key: &SigningKey) -> Result<Self, TokenError> {
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TYPE.to_owned());
        header.kid = Some(key.kid().to_owned());
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // Time is checked by hand below, against the time that is given.
        validation.validate_exp = false;
        Ok(Self {
            encoding: EncodingKey::from_ed_der(key.pkcs8()),
            decoding: DecodingKey::from_ed_components(&key.x()).map_err(|_| TokenError::Unsigned)?,
            header,
            validation,
        })
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
    pub fn check(&self, token: &str, now: Timestamp) -> Result<Claims, TokenError> {
        if token.len() > LONGEST {
            return Err(TokenError::Invalid);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Invalid)?;
        if header.kid != self.header.kid || header.typ.as_deref() != Some(TYPE) {
            return Err(TokenError::Invalid);
        }
        let decoded = jsonwebtoken::decode::<Claims>(token, &self.decoding, &self.validation);
        let claims = decoded.map_err(|_| TokenError::Invalid)?.claims;
        if claims.exp <= now.seconds() { Err(TokenError::Expired) } else { Ok(claims) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    fn user() -> User {
        User {
            id: UserId(uuid::Uuid::from_u128(7)),
            username: "alice".to_owned(),
            email: String::new(),
            roles: vec![Role::Admin],
            created_at: Timestamp(0),
        }
    }

    fn issued() -> (Tokens, String) {
        let tokens = Tokens::new(&SigningKey::generate().unwrap()).unwrap();
        let token = tokens.issue(&user(), SessionId(uuid::Uuid::from_u128(9)), false, Timestamp(0)).unwrap().0;
        (tokens, token)
    }

    #[test]
    fn a_token_is_good_until_it_expires() {
        let (tokens, token) = issued();
        assert_eq!(tokens.check(&token, Timestamp(1000)).unwrap().username, "alice");
        let end = Timestamp(0).plus(ACCESS_LIFETIME);
        assert_eq!(tokens.check(&token, end), Err(TokenError::Expired));
    }

    #[test]
    fn nothing_but_our_own_signature_is_taken() {
        let (tokens, token) = issued();
        let (other, foreign) = issued();
        assert_eq!(tokens.check(&foreign, Timestamp(1000)), Err(TokenError::Invalid));
        assert!(other.check(&foreign, Timestamp(1000)).is_ok());
        let parts: Vec<&str> = token.split('.').collect();
        let kid = &tokens.header.kid;
        for (alg, signature) in [("none", ""), ("HS256", parts[2]), ("RS256", parts[2])] {
            let header = serde_json::json!({"alg": alg, "typ": TYPE, "kid": kid}).to_string();
            let forged = format!("{}.{}.{signature}", URL_SAFE_NO_PAD.encode(header), parts[1]);
            assert_eq!(tokens.check(&forged, Timestamp(1000)), Err(TokenError::Invalid), "{alg}");
        }
        let mut claims: serde_json::Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
        claims["username"] = "mallory".into();
        let forged = format!("{}.{}.{}", parts[0], URL_SAFE_NO_PAD.encode(claims.to_string()), parts[2]);
        assert_eq!(tokens.check(&forged, Timestamp(1000)), Err(TokenError::Invalid));
    }

    #[test]
    fn another_audience_is_not_ours() {
        let (tokens, token) = issued();
        let mut claims = tokens.check(&token, Timestamp(0)).unwrap();
        claims.aud = "someone-else".to_owned();
        let signed = jsonwebtoken::encode(&tokens.header, &claims, &tokens.encoding).unwrap();
        assert_eq!(tokens.check(&signed, Timestamp(0)), Err(TokenError::Invalid));
    }
}
