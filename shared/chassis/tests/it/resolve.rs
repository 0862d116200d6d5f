//! Names that are followed, by a real name server and real listeners.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use chassis::resolve::{Endpoints, ResolveConfig, Resolver};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::RecordType;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::name_server::{NameServer, PATIENCE};

type Followed = watch::Receiver<Arc<Endpoints>>;

const ONE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 1));
const TWO: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
const SIX: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

fn resolver(server: &NameServer) -> Resolver {
    let config = ResolveConfig {
        servers: vec![server.address()],
        timeout: Duration::from_millis(500),
        recheck: Duration::from_secs(1),
        ..ResolveConfig::default()
    };
    Resolver::new(config).unwrap()
}

/// Listeners on one free port of all `addresses`.
async fn listen(addresses: &[IpAddr]) -> (Vec<TcpListener>, u16) {
    'port: loop {
        let first = TcpListener::bind((addresses[0], 0)).await.unwrap();
        let port = first.local_addr().unwrap().port();
        let mut listeners = vec![first];
        for address in &addresses[1..] {
            match TcpListener::bind((*address, port)).await {
                Ok(listener) => listeners.push(listener),
                // Somebody else has the port at this address.
                Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => continue 'port,
                Err(error) => panic!("{address}: {error}"),
            }
        }
        return (listeners, port);
    }
}

async fn offers(followed: &mut Followed, addresses: &[IpAddr], port: u16) {
    let wanted: Vec<_> = addresses
        .iter()
        .map(|ip| SocketAddr::new(*ip, port))
        .collect();
    let offered = followed.wait_for(|offered| offered.is_settled() && offered.healthy() == wanted);
    let seen = timeout(PATIENCE, offered).await.is_ok();
    assert!(seen, "{wanted:?} but {:?}", followed.borrow());
}

fn metric(text: &str) -> bool {
    let telemetry = chassis::telemetry::installed_or_quiet().expect("telemetry");
    telemetry.render().contains(text)
}

async fn until(holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, waiting).await.expect("holds in time");
}

#[tokio::test]
async fn addresses_of_both_families_are_offered_in_order() {
    let server = NameServer::start().await;
    let (_listeners, port) = listen(&[ONE, TWO, SIX]).await;
    server.set_host("node.test.", 60, &[SIX, TWO, ONE]);
    let mut followed = resolver(&server).follow(format!("node.test:{port}").parse().unwrap());
    offers(&mut followed, &[ONE, TWO, SIX], port).await;
}

#[tokio::test]
async fn an_address_where_nobody_listens_is_offered_once_somebody_does() {
    let server = NameServer::start().await;
    let (mut listeners, port) = listen(&[ONE, TWO]).await;
    drop(listeners.pop());
    server.set_host("half.test.", 60, &[ONE, TWO]);
    let mut followed = resolver(&server).follow(format!("half.test:{port}").parse().unwrap());
    offers(&mut followed, &[ONE], port).await;
    assert_eq!(followed.borrow().known(), 2);

    let _two = TcpListener::bind((TWO, port)).await.unwrap();
    offers(&mut followed, &[ONE, TWO], port).await;
    drop(listeners);
    offers(&mut followed, &[TWO], port).await;
}

#[tokio::test]
async fn srv_records_give_ports_and_the_best_priority_is_offered() {
    let server = NameServer::start().await;
    let (best, port) = listen(&[ONE, TWO]).await;
    let (_spare, spare_port) = listen(&[ONE]).await;
    server.set_host("best.test.", 60, &[ONE, TWO]);
    server.set_host("spare.test.", 60, &[ONE]);
    let targets = [(10, port, "best.test."), (20, spare_port, "spare.test.")];
    server.set_service("_grpc._tcp.syncd.test.", 60, &targets);
    let mut followed = resolver(&server).follow("_grpc._tcp.syncd.test".parse().unwrap());
    offers(&mut followed, &[ONE, TWO], port).await;
    assert_eq!(followed.borrow().known(), 3);
    drop(best);
    offers(&mut followed, &[ONE], spare_port).await;
}

#[tokio::test]
async fn a_time_to_live_is_honoured_and_a_change_of_records_seen() {
    let server = NameServer::start().await;
    let (_listeners, port) = listen(&[ONE, TWO]).await;
    server.set_host("moving.test.", 1, &[ONE]);
    let mut followed = resolver(&server).follow(format!("moving.test:{port}").parse().unwrap());
    offers(&mut followed, &[ONE], port).await;
    server.set_host("moving.test.", 1, &[TWO]);
    offers(&mut followed, &[TWO], port).await;

    server.question(RecordType::A, 3).await;
    let asked = server.questions(RecordType::A);
    let least = Duration::from_millis(990);
    for pair in asked.windows(2) {
        assert!(pair[1] - pair[0] >= least, "{:?}", pair[1] - pair[0]);
    }
    assert!(
        asked[1] - asked[0] < Duration::from_secs(4),
        "before the refresh"
    );
}

#[tokio::test]
async fn a_long_time_to_live_does_not_outlast_the_refresh() {
    let server = NameServer::start().await;
    server.set_host("slow.test.", 3600, &[ONE]);
    let config = ResolveConfig {
        servers: vec![server.address()],
        refresh: Duration::from_secs(2),
        ..ResolveConfig::default()
    };
    let _followed = Resolver::new(config)
        .unwrap()
        .follow("slow.test:9".parse().unwrap());
    let first = server.question(RecordType::A, 1).await;
    let second = server.question(RecordType::A, 2).await;
    assert!(
        second - first >= Duration::from_millis(1990),
        "{:?}",
        second - first
    );
}

#[tokio::test]
async fn the_last_good_answer_stays_while_the_name_server_is_gone() {
    let mut server = NameServer::start().await;
    let (_listeners, port) = listen(&[ONE, TWO]).await;
    server.set_host("lasting.test.", 1, &[ONE]);
    let name = format!("lasting.test:{port}");
    let stale = |n| format!("resolve_answer_stale{{name=\"{name}\"}} {n}");
    metric("");
    let mut followed = resolver(&server).follow(name.parse().unwrap());
    offers(&mut followed, &[ONE], port).await;

    server.stop().await;
    until(|| metric(&stale(1))).await;
    offers(&mut followed, &[ONE], port).await;

    server.set_host("lasting.test.", 1, &[TWO]);
    server.resume().await;
    offers(&mut followed, &[TWO], port).await;
    until(|| metric(&stale(0))).await;
}

#[tokio::test]
async fn the_last_good_answer_stays_while_questions_fail_or_give_nothing() {
    let server = NameServer::start().await;
    let (_listeners, port) = listen(&[ONE]).await;
    server.set_host("failing.test.", 1, &[ONE]);
    let name = format!("failing.test:{port}");
    metric("");
    let mut followed = resolver(&server).follow(name.parse().unwrap());
    offers(&mut followed, &[ONE], port).await;
    let failures = |n| format!("resolve_failures_total{{name=\"{name}\"}} {n}");
    for (times, failure) in [(1, ResponseCode::ServFail), (2, ResponseCode::NXDomain)] {
        server.fail(Some(failure));
        until(|| metric(&failures(times))).await;
    }
    server.fail(None);
    server.set_host("failing.test.", 1, &[]);
    until(|| metric(&failures(3))).await;
    offers(&mut followed, &[ONE], port).await;
}

#[tokio::test]
async fn one_family_that_is_not_answered_does_not_hold_up_the_other() {
    let server = NameServer::start().await;
    let (_listeners, port) = listen(&[ONE]).await;
    server.set_host("four.test.", 60, &[ONE]);
    server.ignore(RecordType::AAAA);
    let mut followed = resolver(&server).follow(format!("four.test:{port}").parse().unwrap());
    offers(&mut followed, &[ONE], port).await;
}

#[tokio::test]
async fn addresses_and_localhost_are_probed_without_dns() {
    let server = NameServer::start().await;
    let (_listeners, port) = listen(&[ONE, SIX]).await;
    let resolver = resolver(&server);
    let mut literal = resolver.follow(format!("127.0.0.1:{port}").parse().unwrap());
    let mut localhost = resolver.follow(format!("localhost:{port}").parse().unwrap());
    offers(&mut literal, &[ONE], port).await;
    offers(&mut localhost, &[ONE, SIX], port).await;
    for kind in [RecordType::A, RecordType::AAAA] {
        assert_eq!(server.questions(kind), []);
    }
}

#[tokio::test]
async fn followers_of_a_name_share_its_questions_until_the_last_has_gone() {
    let server = NameServer::start().await;
    let (_listeners, port) = listen(&[ONE]).await;
    server.set_host("shared.test.", 60, &[ONE]);
    let name = format!("shared.test:{port}");
    metric("");
    let resolver = resolver(&server);
    let mut first = resolver.follow(name.parse().unwrap());
    let mut second = resolver.clone().follow(name.parse().unwrap());
    offers(&mut first, &[ONE], port).await;
    offers(&mut second, &[ONE], port).await;
    assert_eq!(server.questions(RecordType::A).len(), 1);

    drop(first);
    drop(second);
    let known = format!("resolve_addresses{{name=\"{name}\",state=\"known\"}} 0");
    until(|| metric(&known)).await;
    let mut again = resolver.follow(name.parse().unwrap());
    offers(&mut again, &[ONE], port).await;
    assert_eq!(server.questions(RecordType::A).len(), 2);
}
