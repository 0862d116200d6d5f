//! A whole deployment as real processes that share a Redis: gateways, matchers and syncds that
//! find each other by their leases. Any of them can be killed, stopped, drained and started again.
//!
//! Calls block for as long as processes take.

mod settings;

use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use chassis::faults::{self, Point};
use client::address::Address;
use engine::NodeKind;
use protocol::random::Random;
use rustix::process::Signal;
use serde::Serialize;

pub use settings::{EVENT, FleetOptions, Lease};

use crate::probe;
use crate::process::{Process, StartError};

/// Longest from the start of a process to ready.
const READY: Duration = Duration::from_secs(30);

/// Longest from SIGTERM to the end of a process.
const DRAINED: Duration = Duration::from_secs(90);

/// How often something that takes its time is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Where gateways listen: below the ports that the kernel hands out to connections, so that none
/// of those takes a gateway's while it is down.
const PORTS: std::ops::Range<u64> = 10_000..30_000;

/// Names a node of a fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct NodeRef {
    /// What it is.
    pub kind: NodeKind,
    /// Which of its kind, from 0.
    pub index: usize,
}

/// The processes, which end with this value.
#[derive(Debug)]
pub struct Fleet {
    binary: PathBuf,
    folder: PathBuf,
    options: FleetOptions,
    nodes: Vec<Node>,
}

#[derive(Debug)]
struct Node {
    name: NodeRef,
    /// Where it always listens; others take a free port at each start.
    listen: Option<SocketAddr>,
    starts: u32,
    process: Option<Process>,
    /// Where its next process dies by itself.
    fault: Option<String>,
}

impl NodeRef {
    /// The `index`th gateway.
    pub fn gateway(index: usize) -> Self {
        let kind = NodeKind::Gateway;
        Self { kind, index }
    }

    /// The `index`th matcher.
    pub fn matcher(index: usize) -> Self {
        let kind = NodeKind::Matcher;
        Self { kind, index }
    }

    /// The `index`th syncd.
    pub fn syncd(index: usize) -> Self {
        let kind = NodeKind::Syncd;
        Self { kind, index }
    }

    fn service(self) -> &'static str {
        match self.kind {
            NodeKind::Gateway => "gateway",
            NodeKind::Matcher => "matcher",
            NodeKind::Syncd => "syncd",
        }
    }
}

/// The node's name in the deployment: `syncd-1` for the first syncd.
impl fmt::Display for NodeRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.service(), self.index + 1)
    }
}

impl Fleet {
    /// Starts the processes out of `binary` and waits until all are ready. Configuration and logs
    /// go to `folder`.
    ///
    /// # Errors
    /// [`StartError`], with the log of the process that did not start.
    pub fn start(binary: &Path, folder: &Path, options: FleetOptions) -> Result<Self, StartError> {
        let mut fleet = Self {
            binary: binary.to_path_buf(),
            folder: folder.to_path_buf(),
            nodes: options.names().map(Node::new).collect(),
            options,
        };
        fleet.write(&fleet.folder.join("signing.key"), &[7; 32])?;
        for index in 0..fleet.nodes.len() {
            fleet.launch(index)?;
        }
        fleet.wait_ready()?;
        Ok(fleet)
    }

    /// The names of all nodes: gateways, matchers, syncds.
    pub fn names(&self) -> Vec<NodeRef> {
        self.nodes.iter().map(|node| node.name).collect()
    }

    /// Starts one more syncd and waits until it is ready; gives its name.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn add_syncd(&mut self) -> Result<NodeRef, StartError> {
        let name = NodeRef::syncd(self.options.syncds);
        self.options.syncds += 1;
        self.nodes.push(Node::new(name));
        self.restart(name)?;
        Ok(name)
    }

    /// The gateways' public addresses, which stay the same.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.nodes.iter().filter_map(|node| node.listen).collect()
    }

    /// The same as clients take them.
    pub fn targets(&self) -> Vec<Address> {
        self.addresses().into_iter().map(Address::from).collect()
    }

    /// How the deployment is set up.
    pub fn options(&self) -> &FleetOptions {
        &self.options
    }

    /// A node's process; `None` after a kill.
    pub fn process(&self, node: NodeRef) -> Option<&Process> {
        self.nodes
            .iter()
            .find(|found| found.name == node)?
            .process
            .as_ref()
    }

    /// Sends a signal to a node, if it runs.
    pub fn signal(&self, node: NodeRef, signal: Signal) {
        if let Some(process) = self.process(node) {
            process.signal(signal);
        }
    }

    /// Ends a node at once.
    pub fn kill(&mut self, node: NodeRef) {
        self.node_mut(node).process = None;
    }

    /// Starts a node again, as a process of its own, and waits until it is ready. One that still
    /// runs is killed first.
    ///
    /// A process that does not find what it needs ends; as a supervisor would, this starts the next
    /// one.
    ///
    /// # Errors
    /// [`StartError`] of the last attempt.
    pub fn restart(&mut self, node: NodeRef) -> Result<(), StartError> {
        let index = self.index_of(node);
        self.launch_again(index)?;
        self.wait_ready_of(index)
    }

    /// Starts a node again as a process that dies by itself when it passes a point for the `count`th
    /// time. The program has to be built with the feature `faults`.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn restart_to_die(
        &mut self,
        node: NodeRef,
        point: Point,
        count: u32,
    ) -> Result<(), StartError> {
        let index = self.index_of(node);
        self.nodes[index].fault = Some(format!("{}:{count}", point.0));
        let launched = self.launch_again(index);
        self.nodes[index].fault = None;
        // It may not live to be ready.
        launched
    }

    /// Whether a node has died by SIGKILL without a word from here.
    pub fn has_died(&mut self, node: NodeRef) -> bool {
        let process = self.node_mut(node).process.as_mut();
        let status = process.and_then(Process::ended);
        let signal = status.and_then(|status| status.signal());
        signal == Some(Signal::KILL.as_raw())
    }

    /// Drains a node and waits until it has ended by itself; it is not started again.
    ///
    /// # Errors
    /// [`StartError::BadEnd`], also if it had to be killed after 90 s.
    pub fn drain(&mut self, node: NodeRef) -> Result<(), StartError> {
        let index = self.index_of(node);
        let Some(mut process) = self.nodes[index].process.take() else {
            return Ok(());
        };
        let began = Instant::now();
        process.signal(Signal::TERM);
        let status = loop {
            match process.ended() {
                Some(status) => break status,
                None if began.elapsed() >= DRAINED => {
                    process.signal(Signal::KILL);
                    let waited = process.wait();
                    break waited.map_err(|source| StartError::Run {
                        program: node.to_string(),
                        source,
                    })?;
                }
                None => sleep(LOOK),
            }
        };
        match status.success() {
            true => Ok(()),
            false => Err(StartError::BadEnd {
                program: node.to_string(),
                status,
                log: process.log(),
            }),
        }
    }

    /// Waits until every node that runs is ready.
    ///
    /// # Errors
    /// [`StartError::NotReady`], with what the node said last.
    pub fn wait_ready(&self) -> Result<(), StartError> {
        (0..self.nodes.len()).try_for_each(|index| self.wait_ready_of(index))
    }

    /// A running node's metrics; `None` if it does not answer.
    pub fn metrics(&self, node: NodeRef) -> Option<String> {
        let address = self.process(node)?.private_address()?;
        Some(probe::get(address, "/metrics").ok()?.body)
    }

    /// What every process of a node has logged, oldest first.
    pub fn log_of(&self, node: NodeRef) -> String {
        let node = &self.nodes[self.index_of(node)];
        (1..=node.starts)
            .map(|start| std::fs::read_to_string(self.log_file(node.name, start)))
            .map(Result::unwrap_or_default)
            .collect()
    }

    /// What all have logged, for a test that fails.
    pub fn logs(&self) -> String {
        let names = self.nodes.iter().map(|node| node.name);
        names
            .map(|name| format!("--- {name}\n{}", self.log_of(name)))
            .collect()
    }

    fn launch_again(&mut self, index: usize) -> Result<(), StartError> {
        let began = Instant::now();
        loop {
            self.nodes[index].process = None;
            match self.launch(index) {
                Ok(()) => return Ok(()),
                Err(error) if began.elapsed() >= READY => return Err(error),
                Err(_) => sleep(LOOK * 10),
            }
        }
    }

    fn launch(&mut self, index: usize) -> Result<(), StartError> {
        let node = &mut self.nodes[index];
        node.starts += 1;
        let (name, starts, listen) = (node.name, node.starts, node.listen);
        let fault = node.fault.clone();
        let config = self.folder.join(format!("{name}.toml"));
        let text = self.options.config(name, listen, &self.folder);
        self.write(&config, text.as_bytes())?;
        let arguments = [name.service(), "--config", &config.to_string_lossy()];
        let log = self.log_file(name, starts);
        let fault = fault.iter().map(|fault| (faults::VARIABLE, fault.as_str()));
        let environment = self.options.environment().chain(fault);
        let process = Process::start(&self.binary, &arguments, environment, &log)?;
        self.nodes[index].process = Some(process);
        Ok(())
    }

    fn wait_ready_of(&self, index: usize) -> Result<(), StartError> {
        let node = &self.nodes[index];
        let Some(process) = &node.process else {
            return Ok(());
        };
        let began = Instant::now();
        loop {
            let answer = process
                .private_address()
                .map(|address| probe::get(address, "/readyz"));
            let said = match answer {
                Some(Ok(answer)) if answer.status == 200 => return Ok(()),
                Some(Ok(answer)) => answer.body,
                Some(Err(error)) => error.to_string(),
                None => "it has no private port".to_owned(),
            };
            if began.elapsed() >= READY {
                return Err(StartError::NotReady {
                    program: node.name.to_string(),
                    answer: said,
                    log: process.log(),
                });
            }
            sleep(LOOK);
        }
    }

    fn log_file(&self, node: NodeRef, start: u32) -> PathBuf {
        self.folder.join(format!("{node}.{start}.log"))
    }

    fn index_of(&self, node: NodeRef) -> usize {
        let found = self.nodes.iter().position(|found| found.name == node);
        found.expect("a node that this fleet has")
    }

    fn node_mut(&mut self, node: NodeRef) -> &mut Node {
        let index = self.index_of(node);
        &mut self.nodes[index]
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), StartError> {
        std::fs::write(path, bytes).map_err(|source| StartError::Run {
            program: format!("(writing {})", path.display()),
            source,
        })
    }
}

impl Node {
    fn new(name: NodeRef) -> Self {
        Self {
            name,
            listen: (name.kind == NodeKind::Gateway).then(free_address),
            starts: 0,
            process: None,
            fault: None,
        }
    }
}

/// One that nobody listens on. Where the search begins differs from process to process, and from
/// call to call.
fn free_address() -> SocketAddr {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let call = CALLS.fetch_add(1, Ordering::Relaxed);
    let mut random = Random::new(u64::from(std::process::id()) << 32 | call);
    loop {
        let port = PORTS.start + random.below(PORTS.end - PORTS.start);
        let port = u16::try_from(port).expect("in the range");
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}
