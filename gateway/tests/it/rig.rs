//! A gateway with its two ports, and the origins behind it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use chassis::drain::Drain;
use chassis::readiness::Readiness;
use pixelrush_gateway::{Config, Gateway, Origins, Parts};
use protocol::id::{Channel, MatchId, PlayerId, RoomId};
use rpc::token::{Access, Identity, RoomTicket, Signer};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::origin::FakeOrigin;
use super::raw::{DEADLINE, Raw};
use super::web;

/// The deployment's signing key.
pub(crate) const KEY: [u8; 32] = [7; 32];

/// The room that tickets are for.
pub(crate) const ROOM: RoomId = RoomId(0xabc);

/// A gateway that runs.
pub(crate) struct Rig {
    pub(crate) public: SocketAddr,
    pub(crate) private: SocketAddr,
    pub(crate) matcher: FakeOrigin,
    pub(crate) room: FakeOrigin,
    pub(crate) drain: Drain,
    pub(crate) readiness: Readiness,
    pub(crate) serving: JoinHandle<()>,
}

impl Rig {
    /// A gateway with the settings that it has by itself, and the echo on.
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// A gateway with settings changed. Its clients are all on the loopback interface, so the
    /// limits that count are `loopback_limits`.
    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let (matcher, to_matcher) = FakeOrigin::start("matcher-1", Channel::Match);
        let (room, to_room) = FakeOrigin::start("syncd-1", Channel::Room);
        let origins = Origins::Static {
            matcher: ("matcher-1".parse().unwrap(), to_matcher),
            rooms: BTreeMap::from([("syncd-1".parse().unwrap(), to_room)]),
        };
        Self::over(origins, (matcher, room), change).await
    }

    /// A gateway over these origins.
    pub(crate) async fn over(
        origins: Origins,
        (matcher, room): (FakeOrigin, FakeOrigin),
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let mut config = Config {
            debug_echo: true,
            ..Config::default()
        };
        change(&mut config);
        let (drain, readiness) = (Drain::new(), Readiness::new());
        let gateway = Gateway::start(Parts {
            config,
            origins,
            signer: Signer::new(&KEY).unwrap(),
            id_key: Box::new([9; 32]),
            drain: drain.clone(),
            readiness: readiness.clone(),
        });
        let (public, public_port) = listen().await;
        let (private, private_port) = listen().await;
        let routes = Router::new().route("/livez", get(async || "ok\n"));
        tokio::spawn(gateway.private(private_port, routes));
        let serving = tokio::spawn(async move { gateway.serve(public_port).await });
        let linked = timeout(DEADLINE, readiness.ready()).await;
        linked.expect("the matcher is linked");
        Self {
            public,
            private,
            matcher,
            room,
            drain,
            readiness,
            serving,
        }
    }

    /// A connection to `/debug/echo`.
    pub(crate) async fn echo(&self) -> Raw {
        Raw::open(self.private, "/debug/echo").await
    }

    /// A connection to `/v1/ws` that has said nothing.
    pub(crate) async fn socket(&self) -> Raw {
        Raw::open(self.public, "/v1/ws").await
    }

    /// Logs a guest in.
    pub(crate) async fn login(&self, name: &str) -> String {
        let body = json!({ "device": format!("device of {name}"), "name": name }).to_string();
        let response = web::ask(self.public, &web::post("/v1/login/guest", "", &body)).await;
        assert_eq!(response.status, 200, "{response:?}");
        response.json()["token"].as_str().unwrap().to_owned()
    }

    /// A ticket to [`ROOM`].
    pub(crate) fn ticket(&self, player: PlayerId) -> String {
        self.ticket_to(player, ROOM, "syncd-1")
    }

    /// A ticket to a room that began on `node`.
    pub(crate) fn ticket_to(&self, player: PlayerId, room: RoomId, node: &str) -> String {
        let ticket = RoomTicket {
            player,
            room,
            match_id: MatchId(1),
            node: node.parse().unwrap(),
        };
        signer().sign(ticket, Duration::from_secs(60))
    }
}

/// Signs like the deployment.
pub(crate) fn signer() -> Signer {
    Signer::new(&KEY).unwrap()
}

/// Somebody's claims.
pub(crate) fn access() -> Access {
    let identity = Identity {
        player: PlayerId(1),
        name: "Eve".to_owned(),
        bot: false,
        rating: 1500,
    };
    Access { identity }
}

async fn listen() -> (SocketAddr, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    (listener.local_addr().unwrap(), listener)
}
