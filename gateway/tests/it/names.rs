//! Origins whose hosts are names: found by DNS, and again while DNS is gone.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use chassis::resolve::{ResolveConfig, Resolver};
use engine::memory::{MemoryLeases, MemoryPlacements};
use engine::{Leases, Load, NodeKind, NodeRecord, Placement, Placements};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::RecordType;
use pixelrush_gateway::config::OriginConfig;
use pixelrush_gateway::{Config, Origins};
use protocol::id::{Channel, Generation};
use rpc::transport::{Incoming, Names};
use tokio::net::TcpListener;

use super::fleet::id;
use super::origin::FakeOrigin;
use super::player::Player;
use super::rig::{ROOM, Rig};
use crate::name_server::NameServer;

const ONE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 1));
const TWO: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

const FIRST: Generation = Generation(1);

/// As a process has them, with the test's name server in place of the system's.
fn names(server: &NameServer) -> Names {
    let config = ResolveConfig {
        servers: vec![server.address()],
        refresh: Duration::from_secs(1),
        recheck: Duration::from_secs(1),
        ..ResolveConfig::default()
    };
    Resolver::new(config).unwrap().into()
}

/// A port that is free at both addresses: the listener at the first, and one for later.
async fn pair() -> (TcpListener, TcpListener) {
    loop {
        let one = TcpListener::bind((ONE, 0)).await.unwrap();
        let port = one.local_addr().unwrap().port();
        if let Ok(two) = TcpListener::bind((TWO, port)).await {
            return (one, two);
        }
    }
}

fn port(listener: &TcpListener) -> u16 {
    listener.local_addr().unwrap().port()
}

fn serve(name: &str, channel: Channel, listener: TcpListener) -> FakeOrigin {
    FakeOrigin::serve(name, channel, FIRST, Incoming::Tcp(listener))
}

#[tokio::test]
async fn an_origin_with_a_name_is_found_again_at_its_other_address_while_dns_is_gone() {
    let mut server = NameServer::start().await;
    server.set_host("matcher.test.", 1, &[ONE, TWO]);
    server.set_host("syncd.test.", 1, &[ONE]);
    let (here, there) = pair().await;
    let rooms = TcpListener::bind((ONE, 0)).await.unwrap();
    let at = |name: &str, host: &str, listener| OriginConfig {
        name: id(name),
        endpoint: format!("http://{host}:{}", port(listener)),
    };
    let config = Config {
        matcher: at("matcher-1", "matcher.test", &here),
        rooms: vec![at("syncd-1", "syncd.test", &rooms)],
        ..Config::default()
    };
    let address = there.local_addr().unwrap();
    // Nobody is at the other address yet.
    drop(there);
    let matcher = serve("matcher-1", Channel::Match, here);
    let room = serve("syncd-1", Channel::Room, rooms);
    let origins = Origins::of(&config, &names(&server));
    let mut rig = Rig::over(origins, (matcher, room), |_| {}).await;
    let mut player = Player::join(&rig, "Ada").await;
    player.enter_room(&rig).await;

    // First it fails what it is asked, and then there is nobody to ask.
    server.fail(Some(ResponseCode::ServFail));
    let asked = server.questions(RecordType::A).len();
    server.question(RecordType::A, asked + 4).await;
    server.stop().await;
    player.expect_well(&rig).await;
    rig.matcher.vanish();
    assert_eq!(player.raw.hear("channel.lost").await["ch"], "match");
    let again = TcpListener::bind(address).await.unwrap();
    rig.matcher = serve("matcher-1", Channel::Match, again);
    assert_eq!(player.raw.hear("channel").await["ch"], "match");
    player.expect_well(&rig).await;
    // Others find it, too.
    Player::join(&rig, "Bob").await.enter_room(&rig).await;
}

#[tokio::test]
async fn a_node_is_found_by_the_name_in_its_lease() {
    const TTL: Duration = Duration::from_secs(600);
    let server = NameServer::start().await;
    let (leases, placements) = (
        Arc::new(MemoryLeases::new()),
        Arc::new(MemoryPlacements::new()),
    );
    let mut origins = Vec::new();
    for (name, kind, channel) in [
        ("matcher-1", NodeKind::Matcher, Channel::Match),
        ("syncd-1", NodeKind::Syncd, Channel::Room),
    ] {
        server.set_host(&format!("{name}.test."), 60, &[ONE]);
        let listener = TcpListener::bind((ONE, 0)).await.unwrap();
        let record = NodeRecord {
            node: id(name),
            kind,
            generation: FIRST,
            endpoint: format!("http://{name}.test:{}", port(&listener)),
            load: Load::default(),
            build: "test".to_owned(),
            simulation: String::new(),
            region: String::new(),
        };
        leases.renew(&record, TTL).await.unwrap();
        origins.push(serve(name, channel, listener));
        let placement = Placement {
            owner: record.incarnation(),
            generation: FIRST,
        };
        if kind == NodeKind::Syncd {
            placements.place(ROOM, &placement).await.unwrap();
        }
    }
    let [matcher, room] = origins.try_into().ok().expect("two");
    let origins = Origins::Leases {
        leases,
        placements,
        names: names(&server),
    };
    let rig = Rig::over(origins, (matcher, room), |_| {}).await;
    let mut player = Player::join(&rig, "Ada").await;
    player.enter_room(&rig).await;
    player.expect_well(&rig).await;
}
