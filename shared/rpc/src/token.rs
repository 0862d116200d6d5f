//! Signed tokens: JWT, HMAC-SHA-256, one key for the deployment.
//!
//! | token | signed by | checked by | says |
//! | --- | --- | --- | --- |
//! | access | gateway (login), bots | gateway | who the player is |
//! | resume | gateway | any gateway | which session goes on |
//! | room | matcher | any gateway | which room a player has a seat in |
//! | receipt | matcher | any matcher | which ticket a player waits on, and since when |
//!
//! The `aud` claim keeps one kind from being used as another.

use std::collections::HashSet;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use protocol::id::{InstanceId, MatchId, NodeId, PlayerId, RoomId, SessionId, TicketId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Shortest signing key, in bytes: the length of the hash.
pub const MIN_KEY: usize = 32;

/// Clock difference between nodes that is tolerated, in seconds.
const LEEWAY: u64 = 5;

/// Who a player is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The player.
    pub player: PlayerId,
    /// The name that others see.
    pub name: String,
    /// Whether it is a bot of ours.
    #[serde(default)]
    pub bot: bool,
    /// The rating to match by, as the login knows it.
    pub rating: i32,
}

/// What an access token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// Who.
    #[serde(flatten)]
    pub identity: Identity,
}

/// What a resume token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resume {
    /// Who.
    #[serde(flatten)]
    pub identity: Identity,
    /// Which session goes on.
    pub session: SessionId,
    /// The only client that may do so.
    pub instance: InstanceId,
}

/// What a room ticket says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomTicket {
    /// Who has the seat.
    pub player: PlayerId,
    /// In which room.
    pub room: RoomId,
    /// Of which match.
    #[serde(rename = "match")]
    pub match_id: MatchId,
    /// The node that the room began on.
    pub node: NodeId,
}

/// What a receipt of a ticket says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Who waits, alone.
    pub player: PlayerId,
    /// The ticket.
    pub ticket: TicketId,
    /// The mode that it waits for.
    pub mode: String,
    /// Since when, in microseconds since 1970 by the clock of tickets.
    pub since: u64,
}

/// A kind of token.
pub trait Claims: Serialize + DeserializeOwned {
    /// Its `aud` claim.
    const AUDIENCE: &'static str;
}

impl Claims for Access {
    const AUDIENCE: &'static str = "access";
}

impl Claims for Resume {
    const AUDIENCE: &'static str = "resume";
}

impl Claims for RoomTicket {
    const AUDIENCE: &'static str = "room";
}

impl Claims for Receipt {
    const AUDIENCE: &'static str = "receipt";
}

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It was good once.
    #[error("the token has expired")]
    Expired,
    /// Forged, damaged, or of another kind.
    #[error("the token is not one that this deployment signed for this use")]
    Invalid,
}

/// Why a signing key is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a signing key needs at least {MIN_KEY} bytes; this one has {0}")]
pub struct KeyTooShort(pub usize);

/// Signs and checks tokens.
#[derive(Clone)]
pub struct Signer {
    encoding: EncodingKey,
    decoding: DecodingKey,
}

#[derive(Serialize, Deserialize)]
struct Envelope<T> {
    aud: String,
    exp: u64,
    #[serde(flatten)]
    claims: T,
}

impl Signer {
    /// A signer with the deployment's key.
    ///
    /// # Errors
    /// If the key is shorter than [`MIN_KEY`] bytes.
    pub fn new(key: &[u8]) -> Result<Self, KeyTooShort> {
        if key.len() < MIN_KEY {
            return Err(KeyTooShort(key.len()));
        }
        Ok(Self {
            encoding: EncodingKey::from_secret(key),
            decoding: DecodingKey::from_secret(key),
        })
    }

    /// Signs `claims`, good for `lifetime`.
    pub fn sign<T: Claims>(&self, claims: T, lifetime: Duration) -> String {
        let envelope = Envelope {
            aud: T::AUDIENCE.to_owned(),
            exp: unix_seconds() + lifetime.as_secs(),
            claims,
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &envelope, &self.encoding)
            .expect("claims are plain JSON and the key fits the algorithm")
    }

    /// Checks a token of the kind `T`.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn check<T: Claims>(&self, token: &str) -> Result<T, TokenError> {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = LEEWAY;
        validation.aud = Some(HashSet::from([T::AUDIENCE.to_owned()]));
        match jsonwebtoken::decode::<Envelope<T>>(token, &self.decoding, &validation) {
            Ok(data) => Ok(data.claims.claims),
            Err(error) if matches!(error.kind(), ErrorKind::ExpiredSignature) => {
                Err(TokenError::Expired)
            }
            Err(_) => Err(TokenError::Invalid),
        }
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer(..)")
    }
}

fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        Identity {
            player: PlayerId(7),
            name: "Ada".to_owned(),
            bot: false,
            rating: 1500,
        }
    }

    #[test]
    fn a_token_is_good_for_its_own_use_only() {
        let signer = Signer::new(&[1; 32]).unwrap();
        let token = signer.sign(
            Access {
                identity: identity(),
            },
            Duration::from_secs(60),
        );
        assert_eq!(
            signer.check::<Access>(&token),
            Ok(Access {
                identity: identity()
            })
        );
        assert_eq!(signer.check::<Resume>(&token), Err(TokenError::Invalid));
    }

    #[test]
    fn forged_and_damaged_tokens_are_refused() {
        let signer = Signer::new(&[1; 32]).unwrap();
        let other = Signer::new(&[2; 32]).unwrap();
        let token = other.sign(
            Access {
                identity: identity(),
            },
            Duration::from_secs(60),
        );
        assert_eq!(signer.check::<Access>(&token), Err(TokenError::Invalid));
        let unsigned = "eyJhbGciOiJub25lIn0.eyJhdWQiOiJhY2Nlc3MifQ.";
        for damaged in ["", "a.b.c", &token[..token.len() - 2], unsigned] {
            assert_eq!(
                signer.check::<Access>(damaged),
                Err(TokenError::Invalid),
                "{damaged}"
            );
        }
    }

    #[test]
    fn an_expired_token_says_so() {
        let signer = Signer::new(&[1; 32]).unwrap();
        let envelope = Envelope {
            aud: Access::AUDIENCE.to_owned(),
            exp: unix_seconds() - 60,
            claims: Access {
                identity: identity(),
            },
        };
        let header = Header::new(Algorithm::HS256);
        let token = jsonwebtoken::encode(&header, &envelope, &signer.encoding).unwrap();
        assert_eq!(signer.check::<Access>(&token), Err(TokenError::Expired));
    }

    #[test]
    fn a_short_key_is_refused() {
        assert_eq!(Signer::new(b"secret").unwrap_err(), KeyTooShort(6));
    }
}
