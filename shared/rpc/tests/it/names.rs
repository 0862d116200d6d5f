//! Endpoints whose host is a name, by a real name server and real listeners.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use chassis::resolve::{ResolveConfig, Resolver};
use rpc::pb::origin_client::OriginClient;
use rpc::transport::{ConnectError, Endpoint, EndpointSet, Incoming, memory};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::transport::Channel;

use crate::name_server::{NameServer, PATIENCE};

const ONE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 1));
const TWO: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

fn resolver(server: &NameServer) -> Resolver {
    let config = ResolveConfig {
        servers: vec![server.address()],
        recheck: Duration::from_secs(1),
        ..ResolveConfig::default()
    };
    Resolver::new(config).unwrap()
}

/// A server without any service, until the guard is dropped.
fn serve(listener: TcpListener) -> DropGuard {
    let stop = CancellationToken::new();
    let routes = tonic::service::Routes::default();
    let stopped = stop.clone().cancelled_owned();
    tokio::spawn(Incoming::Tcp(listener).serve(routes, stopped));
    stop.drop_guard()
}

/// Servers at both addresses, on one port.
async fn serve_both() -> (DropGuard, DropGuard, u16) {
    loop {
        let one = TcpListener::bind((ONE, 0)).await.unwrap();
        let port = one.local_addr().unwrap().port();
        if let Ok(two) = TcpListener::bind((TWO, port)).await {
            return (serve(one), serve(two), port);
        }
    }
}

/// Waits until nobody accepts there.
async fn closed(address: IpAddr, port: u16) {
    let refused = async {
        while TcpStream::connect((address, port)).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, refused).await.expect("it closes");
}

/// Whether somebody answers a call, if only that there is no such method.
async fn answers(channel: Channel) -> bool {
    let calls = tokio_stream::empty();
    let call = timeout(PATIENCE, OriginClient::new(channel).link(calls)).await;
    let status = call.expect("in time").expect_err("there is no service");
    status.code() == tonic::Code::Unimplemented
}

async fn lists(set: &mut EndpointSet, hosts: &[&str], port: u16) {
    let wanted: Vec<_> = hosts
        .iter()
        .map(|host| format!("http://{host}:{port}"))
        .collect();
    let listed = async {
        loop {
            let current: Vec<_> = set.current().iter().map(Endpoint::to_string).collect();
            if current == wanted {
                return;
            }
            set.changed().await;
        }
    };
    let seen = timeout(PATIENCE, listed).await.is_ok();
    assert!(seen, "{wanted:?} but {:?}", set.current());
}

#[tokio::test]
async fn a_name_is_connected_to_where_somebody_answers() {
    let server = NameServer::start().await;
    let (one, two, port) = serve_both().await;
    server.set_host("syncd.test.", 60, &[ONE, TWO]);
    let address = format!("http://syncd.test:{port}");
    let endpoint = Endpoint::tcp(&address).resolved_by(&resolver(&server));
    assert_eq!(endpoint.to_string(), address);
    assert!(answers(endpoint.connect(PATIENCE).await.unwrap()).await);

    // Whichever goes away, the next connects find the other at once, before a probe notices.
    drop(one);
    closed(ONE, port).await;
    for _ in 0..2 {
        assert!(answers(endpoint.connect(PATIENCE).await.unwrap()).await);
    }
    drop(two);
    closed(TWO, port).await;
    let nobody = endpoint.connect(PATIENCE).await;
    assert!(nobody.is_err());
}

#[tokio::test]
async fn all_lists_each_healthy_address_as_they_change() {
    let server = NameServer::start().await;
    let (_one, two, port) = serve_both().await;
    server.set_host("nodes.test.", 1, &[ONE, TWO]);
    let endpoint = Endpoint::tcp(&format!("http://nodes.test:{port}"));
    let mut set = endpoint.resolved_by(&resolver(&server)).all();
    lists(&mut set, &["127.0.0.1", "127.0.0.2"], port).await;
    for listed in set.current() {
        assert!(answers(listed.connect(PATIENCE).await.unwrap()).await);
    }
    drop(two);
    lists(&mut set, &["127.0.0.1"], port).await;
    server.set_host("nodes.test.", 1, &[TWO]);
    lists(&mut set, &[], port).await;
}

#[tokio::test]
async fn a_service_is_found_by_its_srv_records() {
    let server = NameServer::start().await;
    let (_one, _two, port) = serve_both().await;
    server.set_host("node.test.", 60, &[ONE]);
    server.set_service("_grpc._tcp.matcher.test.", 60, &[(1, port, "node.test.")]);
    let endpoint = Endpoint::tcp("http://_grpc._tcp.matcher.test").resolved_by(&resolver(&server));
    assert!(answers(endpoint.connect(PATIENCE).await.unwrap()).await);
}

#[tokio::test]
async fn a_name_without_addresses_fails_by_the_deadline() {
    let server = NameServer::start().await;
    let endpoint = Endpoint::tcp("http://nowhere.test:7300").resolved_by(&resolver(&server));
    let start = Instant::now();
    let error = endpoint.connect(Duration::from_millis(300)).await;
    assert!(
        matches!(error, Err(ConnectError::NoAddress { .. })),
        "{error:?}"
    );
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn addresses_local_names_and_memory_are_not_resolved() {
    let server = NameServer::start().await;
    let resolver = resolver(&server);
    for address in ["http://127.0.0.1:1", "http://[::1]:1", "http://localhost:1"] {
        let endpoint = Endpoint::tcp(address).resolved_by(&resolver);
        assert!(
            matches!(&endpoint, Endpoint::Tcp(same) if **same == *address),
            "{endpoint:?}"
        );
        assert_eq!(endpoint.all().current().len(), 1);
    }
    let (connector, _incoming) = memory();
    let endpoint = Endpoint::Memory(connector).resolved_by(&resolver);
    assert!(matches!(endpoint, Endpoint::Memory(_)));
    let mut all = endpoint.all();
    assert_eq!(all.current().len(), 1);
    let changed = timeout(Duration::from_millis(10), all.changed()).await;
    assert!(changed.is_err(), "it cannot change");
}
