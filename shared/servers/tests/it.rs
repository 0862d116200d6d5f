//! The servers start, do what they are for, and go.

use servers::{Cluster, PostgresServer, RedisServer, Sentinel, wait_until};

#[test]
fn a_redis_keeps_its_port_and_only_the_data_that_it_is_to_keep() {
    let mut server = RedisServer::start_durable();
    let port = server.port();
    let set = || server_command(&["SET", "key", "value"]);
    let exists = || server_command(&["EXISTS", "key"]);
    server.query::<()>(&set());
    server.pause();
    server.restart();
    assert!(server.query::<bool>(&exists()), "it was on the disk");
    server.restart_empty();
    assert!(!server.query::<bool>(&exists()));
    assert_eq!(server.port(), port);
}

#[test]
fn sentinels_replace_a_primary() {
    let mut servers = Sentinel::start();
    let dead = servers.kill_primary();
    wait_until("the other one is the primary", || {
        (servers.primary().port() != dead).then_some(())
    });
    servers.restart_killed();
    servers.wait_until_whole();
}

#[test]
fn a_cluster_replaces_a_primary() {
    let mut servers = Cluster::start();
    let dead = servers.primary_of("key").port();
    servers.kill_primary_of("key");
    wait_until("the replica is the primary", || {
        (servers.primary_of("key").port() != dead).then_some(())
    });
    servers.restart_killed();
    servers.wait_until_whole();
}

fn server_command(words: &[&str]) -> redis::Cmd {
    let mut command = redis::Cmd::new();
    command.arg(words);
    command
}

#[test]
fn a_postgres_keeps_its_data_through_a_crash_and_counts_who_is_connected() {
    let mut server = PostgresServer::start();
    server.query("CREATE TABLE kept (x int); INSERT INTO kept VALUES (7)");
    server.kill();
    server.restart();
    assert_eq!(server.query("SELECT x FROM kept").trim(), "7");
    assert_eq!(server.connections(), 0, "its own look does not count");
}
