//! `hello`: log in or resume. Tokens are checked before any state is touched.

use protocol::attach::Claim;
use protocol::close::CloseCode;
use protocol::control::{ErrorCode, ErrorMessage, Hello, ServerMessage, Welcome};
use protocol::id::{Channel, SessionId};
use protocol::time::Timestamp;
use rpc::token::{Access, Identity, Resume, TokenError};
use serde::Deserialize;

use super::{Live, Player};

/// Longest client name that is kept.
const CLIENT_NAME: usize = 64;

struct Admission {
    identity: Identity,
    session: SessionId,
    resumed: bool,
}

impl Player {
    pub(super) fn handle_hello(&mut self, now: Timestamp, hello: Hello) {
        if self.edge.drain.is_draining() {
            return self.close(CloseCode::Draining);
        }
        if hello.v != protocol::VERSION {
            return self.refuse_version(hello.v);
        }
        match self.admit_hello(&hello) {
            Ok(admission) => self.welcome(now, &hello, admission),
            Err((error, code)) => {
                // Failures count as logins of the address. The code stays even over the limit: a
                // player with an old token, behind the same address as whoever tries tokens out,
                // is to log in again and not to give up.
                let error = match self.edge.count_login(self.peer) {
                    Ok(()) => error,
                    Err(retry) => error.retry_after_ms(retry.millis()),
                };
                self.turn_away(error, code);
            }
        }
    }

    pub(super) fn refuse_version(&mut self, version: u16) {
        let text = format!(
            "this server speaks version {} of the protocol, not {version}; update the client",
            protocol::VERSION,
        );
        let error = ErrorMessage::new(ErrorCode::UpgradeRequired, text).field("v");
        self.turn_away(error, CloseCode::UpgradeRequired);
    }

    fn admit_hello(&self, hello: &Hello) -> Result<Admission, (ErrorMessage, CloseCode)> {
        if let Some(token) = &hello.resume {
            let resume = self
                .edge
                .signer
                .check::<Resume>(token)
                .map_err(|error| token_refused(error, "resume"))?;
            if resume.instance != hello.instance {
                return Err(token_refused(TokenError::Invalid, "resume"));
            }
            let (identity, session) = (resume.identity, resume.session);
            return Ok(Admission {
                identity,
                session,
                resumed: true,
            });
        }
        let Some(token) = &hello.token else {
            let text = "a token or a resume token is needed; log in at POST /v1/login/guest";
            let error = ErrorMessage::new(ErrorCode::TokenInvalid, text).field("token");
            return Err((error.re("hello"), CloseCode::TokenInvalid));
        };
        let access = self
            .edge
            .signer
            .check::<Access>(token)
            .map_err(|error| token_refused(error, "token"))?;
        let session = SessionId(rand::random());
        Ok(Admission {
            identity: access.identity,
            session,
            resumed: false,
        })
    }

    fn welcome(&mut self, now: Timestamp, hello: &Hello, admission: Admission) {
        let Admission {
            identity,
            session,
            resumed,
        } = admission;
        let entered = self
            .edge
            .registry
            .enter(session, hello.attempt, self.outbox.clone());
        let Ok(registration) = entered else {
            return self.close(CloseCode::Superseded);
        };
        let config = self.edge.config.load_full();
        let resume = Resume {
            identity: identity.clone(),
            session,
            instance: hello.instance,
        };
        let welcome = Welcome {
            v: protocol::VERSION,
            session,
            player: identity.player,
            name: identity.name.clone(),
            resume: self.edge.signer.sign(resume, config.tokens.resume),
            resumed,
            node: config.node.to_string(),
            heartbeat_ms: millis(config.heartbeat.interval),
            active_heartbeat_ms: millis(config.heartbeat.active_interval),
            deadline_ms: millis(config.heartbeat.deadline),
            server_time_ms: chassis::clock::unix_ms(),
        };
        self.answer(&ServerMessage::Welcome(welcome));
        let meters = &self.edge.meters;
        if resumed {
            meters.resumes.increment(1)
        } else {
            meters.logins.increment(1)
        }
        tracing::debug!(
            %session, player = %identity.player, resumed, attempt = hello.attempt,
            client = hello.client.chars().take(CLIENT_NAME).collect::<String>(),
            "hello"
        );
        let claim = Claim {
            session,
            instance: hello.instance,
            attempt: hello.attempt,
            login: !resumed,
        };
        let have = hello.have.of(Channel::Match);
        let live = Live::new(self.edge.clone(), registration, claim, identity, have);
        let mut live = Box::new(live);
        if let Some(ticket) = &hello.room
            && let Err(error) = live.join_room(&self.edge, ticket, hello.have.of(Channel::Room))
        {
            self.answer(&ServerMessage::Error(error));
        }
        self.link.set_active(now, live.is_in_room());
        self.live = Some(live);
    }

    fn turn_away(&mut self, error: ErrorMessage, code: CloseCode) {
        self.edge.meters.refused.increment(1);
        self.answer(&ServerMessage::Error(error.re("hello")));
        self.close(code);
    }
}

/// The version of a `hello` that is none of ours, which may look otherwise in all but this.
pub(super) fn other_version(text: &str) -> Option<u16> {
    #[derive(Deserialize)]
    struct Versioned {
        t: String,
        v: u16,
    }
    let hello: Versioned = serde_json::from_str(text).ok()?;
    (hello.t == "hello" && hello.v != protocol::VERSION).then_some(hello.v)
}

fn token_refused(error: TokenError, field: &str) -> (ErrorMessage, CloseCode) {
    let (code, close) = match error {
        TokenError::Expired => (ErrorCode::TokenExpired, CloseCode::TokenExpired),
        TokenError::Invalid => (ErrorCode::TokenInvalid, CloseCode::TokenInvalid),
    };
    let text = format!("{error}; log in again");
    (
        ErrorMessage::new(code, text).re("hello").field(field),
        close,
    )
}

fn millis(duration: std::time::Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
