//! A Redis Cluster.

use std::ops::RangeInclusive;

use redis::{Cmd, FromRedisValue, Value, cmd, from_redis_value};

use crate::redis_server::RedisServer;
use crate::{port, wait_until};

const PRIMARIES: usize = 3;
const SLOTS: u32 = 16_384;

/// Three primaries with a replica each.
#[derive(Debug)]
pub struct Cluster {
    servers: Vec<RedisServer>,
}

impl Cluster {
    /// Starts all of it: a primary that is silent for a second is replaced by its replica.
    pub fn start() -> Self {
        let start = |_| {
            let bus = port::free().to_string();
            let server = RedisServer::start_with(&[
                "--cluster-enabled",
                "yes",
                "--cluster-node-timeout",
                "1000",
                "--cluster-port",
                &bus,
                "--cluster-replica-validity-factor",
                "0",
                "--cluster-allow-replica-migration",
                "no",
            ]);
            (server, bus)
        };
        let (servers, buses): (Vec<_>, Vec<_>) = (0..PRIMARIES * 2).map(start).unzip();
        let cluster = Self { servers };
        cluster.introduce(&buses);
        cluster.hand_out_slots();
        cluster.appoint_replicas();
        cluster.wait_until_whole();
        cluster
    }

    /// Where its nodes are.
    pub fn urls(&self) -> Vec<String> {
        self.servers.iter().map(RedisServer::url).collect()
    }

    /// The primary that has `key`.
    pub fn primary_of(&self, key: &str) -> &RedisServer {
        &self.servers[self.index_of_primary(key)]
    }

    /// Ends the primary that has `key` at once; its replica takes its place soon.
    pub fn kill_primary_of(&mut self, key: &str) {
        let index = self.index_of_primary(key);
        self.servers[index].kill();
    }

    /// Starts again what was killed: it comes back as a replica, if it has been replaced.
    pub fn restart_killed(&mut self) {
        let dead = self
            .servers
            .iter_mut()
            .filter(|server| !server.is_running());
        for server in dead {
            server.restart();
        }
    }

    /// Waits until every node sees all slots served, and every primary has a replica.
    pub fn wait_until_whole(&self) {
        for server in &self.servers {
            wait_until("a node sees the whole cluster", || {
                let info = server.ask(command("CLUSTER", &["INFO"]))?;
                let has = |what: &str| info.contains(what);
                (has("cluster_state:ok") && has("cluster_slots_ok:16384")).then_some(())
            });
            wait_until("a node has its replica or its primary", || {
                let info = server.ask(command("INFO", &["replication"]))?;
                let has = |what: &str| info.contains(what);
                let replicates = has("role:slave") && has("master_link_status:up");
                let is_replicated = has("role:master") && has("state=online");
                (replicates || is_replicated).then_some(())
            });
        }
    }

    fn introduce(&self, buses: &[String]) {
        let [first, ..] = &self.servers[..] else {
            unreachable!("there are six");
        };
        for (number, (server, bus)) in (1..).zip(self.servers.iter().zip(buses)) {
            // Distinct from the start, or they would have to be voted on.
            let epoch = command("CLUSTER", &["SET-CONFIG-EPOCH", &format!("{number}")]);
            server.query::<()>(&epoch);
            let port = server.port().to_string();
            first.query::<()>(&command("CLUSTER", &["MEET", "127.0.0.1", &port, bus]));
        }
        for server in &self.servers {
            wait_until("every node knows every other", || {
                let info = server.ask(command("CLUSTER", &["INFO"]))?;
                let nodes = server.ask(command("CLUSTER", &["NODES"]))?;
                let all = format!("cluster_known_nodes:{}\r", PRIMARIES * 2);
                (info.contains(&all) && !nodes.contains("handshake")).then_some(())
            });
        }
    }

    fn hand_out_slots(&self) {
        let parts = PRIMARIES as u32;
        for (part, server) in (0..parts).zip(&self.servers) {
            let from = (SLOTS * part / parts).to_string();
            let to = (SLOTS * (part + 1) / parts - 1).to_string();
            server.query::<()>(&command("CLUSTER", &["ADDSLOTSRANGE", &from, &to]));
        }
    }

    fn appoint_replicas(&self) {
        let (primaries, replicas) = self.servers.split_at(PRIMARIES);
        for (primary, replica) in primaries.iter().zip(replicas) {
            let name: String = primary.query(&command("CLUSTER", &["MYID"]));
            let replicate = command("CLUSTER", &["REPLICATE", &name]);
            replica.query::<()>(&replicate);
        }
    }

    fn index_of_primary(&self, key: &str) -> usize {
        wait_until("a node knows the primary", || {
            let running = self.servers.iter().find(|server| server.is_running())?;
            let slot: u32 = running.query(&command("CLUSTER", &["KEYSLOT", key]));
            let ranges = slots(running)?;
            let of =
                |(range, port): (RangeInclusive<u32>, u16)| range.contains(&slot).then_some(port);
            let port = ranges.into_iter().find_map(of)?;
            let servers = &self.servers;
            servers
                .iter()
                .position(|server| server.port() == port && server.is_running())
        })
    }
}

/// The slots, each range with the port of its primary.
fn slots(server: &RedisServer) -> Option<Vec<(RangeInclusive<u32>, u16)>> {
    let ranges: Vec<Vec<Value>> = server.query(&command("CLUSTER", &["SLOTS"]));
    let range = |fields: Vec<Value>| {
        let [from, to, node, ..] = &fields[..] else {
            return None;
        };
        let node: Vec<Value> = read(node)?;
        Some((read(from)?..=read(to)?, read(node.get(1)?)?))
    };
    ranges.into_iter().map(range).collect()
}

fn read<T: FromRedisValue>(value: &Value) -> Option<T> {
    from_redis_value(value.clone()).ok()
}

fn command(name: &str, arguments: &[&str]) -> Cmd {
    let mut command = cmd(name);
    command.arg(arguments);
    command
}
