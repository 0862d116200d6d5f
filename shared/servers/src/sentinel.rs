//! A primary with a replica, and sentinels that make the replica primary when the primary dies.

use std::collections::HashMap;
use std::fs;

use redis::cmd;
use tempfile::TempDir;

use crate::process::Process;
use crate::redis_server::{RedisServer, connection};
use crate::{port, wait_until};

/// For how many ms each sentinel lets the primary be silent. Two of them have to agree; the third
/// is slower, or all three might vote for themselves and begin again seconds later.
const PATIENCE: [u32; 3] = [400, 500, 900];

/// Two Redis servers, watched by three sentinels.
#[derive(Debug)]
pub struct Sentinel {
    servers: [RedisServer; 2],
    sentinels: Vec<Watcher>,
}

#[derive(Debug)]
struct Watcher {
    port: u16,
    _folder: TempDir,
    _process: Process,
}

impl Sentinel {
    /// The name that the sentinels know the primary by.
    pub const SERVICE: &'static str = "pixelrush";

    /// Starts all of it: a primary that is silent for 500 ms is replaced.
    pub fn start() -> Self {
        let primary = RedisServer::start();
        let replica =
            RedisServer::start_with(&["--replicaof", &format!("127.0.0.1 {}", primary.port())]);
        let start = |patience| Watcher::start(primary.port(), patience);
        let sentinels = PATIENCE.map(start).into();
        let all = Self {
            servers: [primary, replica],
            sentinels,
        };
        all.wait_until_whole();
        all
    }

    /// Where the sentinels are.
    pub fn urls(&self) -> Vec<String> {
        self.sentinels.iter().map(Watcher::url).collect()
    }

    /// The server that the sentinels hold for the primary.
    pub fn primary(&self) -> &RedisServer {
        let port = self.primary_port();
        let found = self.servers.iter().find(|server| server.port() == port);
        found.expect("one of the two")
    }

    /// Ends the primary at once; gives its port. The other one takes its place soon.
    pub fn kill_primary(&mut self) -> u16 {
        let port = self.primary_port();
        let primary = self.servers.iter_mut().find(|server| server.port() == port);
        primary.expect("one of the two").kill();
        port
    }

    /// Starts again what was killed, empty: it comes back as the replica of the new primary.
    pub fn restart_killed(&mut self) {
        let dead = self
            .servers
            .iter_mut()
            .filter(|server| !server.is_running());
        for server in dead {
            server.restart_empty();
        }
    }

    /// Waits until there is a primary with a replica that has caught up, and every sentinel
    /// knows of both and of each other.
    pub fn wait_until_whole(&self) {
        for sentinel in &self.sentinels {
            wait_until("a sentinel knows all others", || {
                sentinel.is_whole().then_some(())
            });
        }
        let mut info = cmd("INFO");
        info.arg("replication");
        wait_until("the replica has caught up", || {
            let info = self.primary().ask(info.clone())?;
            info.contains("state=online").then_some(())
        });
    }

    fn primary_port(&self) -> u16 {
        let [sentinel, ..] = &self.sentinels[..] else {
            unreachable!("there are three");
        };
        let mut command = cmd("SENTINEL");
        command.arg("GET-MASTER-ADDR-BY-NAME").arg(Self::SERVICE);
        let mut connection = connection(&sentinel.url()).expect("a sentinel is reachable");
        let (_, port): (String, u16) = command.query(&mut connection).expect("a primary");
        port
    }
}

impl Watcher {
    fn start(primary: u16, patience: u32) -> Self {
        let port = port::free();
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("sentinel.conf");
        let service = Sentinel::SERVICE;
        let settings = format!(
            "port {port}\nbind 127.0.0.1\ndir {folder}\nlogfile {folder}/log\n\
             sentinel monitor {service} 127.0.0.1 {primary} 2\n\
             sentinel down-after-milliseconds {service} {patience}\n\
             sentinel failover-timeout {service} 1000\n",
            folder = folder.path().display(),
        );
        fs::write(&file, settings).expect("a file");
        let arguments = [file.display().to_string(), "--sentinel".to_owned()];
        let watcher = Self {
            port,
            _process: Process::start("redis-server", "redis-server", &arguments),
            _folder: folder,
        };
        // They look every second or two by themselves, which is long for a test. A replica that was
        // not heard of for five pings is not promoted, so those must not be too many.
        let mut hurry = cmd("SENTINEL");
        hurry.arg("DEBUG");
        hurry.arg(&["publish-period", "100", "ask-period", "100"]);
        hurry.arg(&["info-period", "300", "ping-period", "300"]);
        wait_until("a sentinel answers", || {
            let mut connection = connection(&watcher.url())?;
            hurry.query::<()>(&mut connection).ok()
        });
        watcher
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    fn is_whole(&self) -> bool {
        let ask = || -> Option<HashMap<String, String>> {
            let mut connection = connection(&self.url())?;
            let mut command = cmd("SENTINEL");
            command.arg("MASTER").arg(Sentinel::SERVICE);
            command.query(&mut connection).ok()
        };
        let Some(primary) = ask() else {
            return false;
        };
        let is = |field: &str, value: &str| primary.get(field).is_some_and(|held| held == value);
        is("flags", "master") && is("num-slaves", "1") && is("num-other-sentinels", "2")
    }
}
