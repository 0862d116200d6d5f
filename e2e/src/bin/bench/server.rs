//! Server processes: started on a core of their own, asked for their processor time and memory.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use pixelrush_e2e::process::Process;
use rpc::token::{MIN_KEY, Signer};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::{BenchError, system};

/// Longest that a server's memory may go on changing.
const SETTLE: Duration = Duration::from_secs(15);

/// It has settled when it did not change between so many looks.
const LOOKS: usize = 8;

/// Between two looks: eight are longer than any of the allocator's timers.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Who runs where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cores {
    pub(crate) server: usize,
    /// The generator, and what the server talks to behind.
    pub(crate) generator: usize,
    all: CpuSet,
}

/// Starts servers.
#[derive(Debug)]
pub(crate) struct Launcher {
    cores: Cores,
    programs: PathBuf,
    folder: PathBuf,
    key: [u8; MIN_KEY],
}

/// Which cores a gateway may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placing {
    /// The server's core only. Its runtime then has one worker thread.
    OneCore,
    /// Every core, as it would run by itself.
    AllCores,
}

/// A gateway, with a matcher and a syncd behind it.
#[derive(Debug)]
pub(crate) struct Gateway {
    server: Process,
    admin: SocketAddr,
    signer: Signer,
    _behind: [Process; 2],
}

/// Memory of a process, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Memory {
    /// Resident.
    pub(crate) rss: u64,
    /// Resident, what is shared with other processes divided among them.
    pub(crate) pss: u64,
}

impl Cores {
    /// Takes the first core for servers and the last for this thread.
    pub(crate) fn split() -> io::Result<Self> {
        let all = sched_getaffinity(None)?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|&core| all.is_set(core));
        let server = cores.next().unwrap_or(0);
        let generator = cores.next_back().unwrap_or(server);
        sched_setaffinity(None, &only(generator))?;
        Ok(Self {
            server,
            generator,
            all,
        })
    }
}

impl Cores {
    /// Lets this thread, and those that it starts, run on every core.
    pub(crate) fn unpin(&self) -> io::Result<()> {
        Ok(sched_setaffinity(None, &self.all)?)
    }
}

impl Launcher {
    /// Finds the programs beside this one.
    pub(crate) fn new(cores: Cores) -> io::Result<Self> {
        let this = std::env::current_exe()?;
        let programs = this.parent().unwrap_or(Path::new(".")).to_path_buf();
        let folder = programs.parent().unwrap_or(Path::new(".")).join("bench");
        fs::create_dir_all(&folder)?;
        let key = *b"a key for benchmarks, no secret.";
        fs::write(folder.join("signing.key"), key)?;
        Ok(Self {
            cores,
            programs,
            folder,
            key,
        })
    }

    /// Where results and logs go.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn cores(&self) -> Cores {
        self.cores
    }

    /// Starts the reference.
    pub(crate) fn bare(&self) -> Result<Process, BenchError> {
        self.on(&only(self.cores.server), "bench", "bare", &[])
    }

    /// Starts a gateway and what is behind it.
    pub(crate) fn gateway(&self, placing: Placing) -> Result<Gateway, BenchError> {
        let key = self.folder.join("signing.key").display().to_string();
        let key = ("PIXELRUSH_SECRETS__SIGNING_KEY_FILE", key);
        let any = "127.0.0.1:0".to_owned();
        // Nobody plays; but the services behind a gateway are part of what it costs.
        let behind = only(self.cores.generator);
        let listen = [("PIXELRUSH_SYNCD__LISTEN", any.clone())];
        let syncd = self.on(&behind, "pixelrush", "syncd", &listen)?;
        let nodes = format!(r#"[{{ name = "syncd-1", endpoint = "{}" }}]"#, syncd.url());
        let environment = [
            key.clone(),
            ("PIXELRUSH_MATCHER__LISTEN", any.clone()),
            ("PIXELRUSH_MATCHER__NODES", nodes.clone()),
        ];
        let matcher = self.on(&behind, "pixelrush", "matcher", &environment)?;
        let admin = free_port().map_err(system("find a free port"))?;
        let environment = [
            key,
            ("PIXELRUSH_GATEWAY__LISTEN", any),
            ("PIXELRUSH_GATEWAY__DEBUG_ECHO", "true".to_owned()),
            ("PIXELRUSH_GATEWAY__MATCHER__NAME", "matcher-1".to_owned()),
            ("PIXELRUSH_GATEWAY__MATCHER__ENDPOINT", matcher.url()),
            ("PIXELRUSH_GATEWAY__ROOMS", nodes),
            ("PIXELRUSH_ADMIN__LISTEN", admin.to_string()),
        ];
        let cores = match placing {
            Placing::OneCore => only(self.cores.server),
            Placing::AllCores => self.cores.all,
        };
        let server = self.on(&cores, "pixelrush", "gateway", &environment)?;
        let signer = Signer::new(&self.key).expect("the key is as long as it has to be");
        Ok(Gateway {
            server,
            admin,
            signer,
            _behind: [matcher, syncd],
        })
    }

    /// Starts a matcher on a Redis, on every core.
    pub(crate) fn matcher(
        &self,
        redis: &str,
        settings: &[(&str, String)],
    ) -> Result<Process, BenchError> {
        let key = self.folder.join("signing.key").display().to_string();
        let mut environment = vec![
            ("PIXELRUSH_SECRETS__SIGNING_KEY_FILE", key),
            ("PIXELRUSH_ENGINE__REDIS__URLS", format!("[{redis:?}]")),
            ("PIXELRUSH_MATCHER__LISTEN", "127.0.0.1:0".to_owned()),
            ("PIXELRUSH_LOG", "warn".to_owned()),
        ];
        environment.extend(settings.iter().cloned());
        self.on(&self.cores.all, "pixelrush", "matcher", &environment)
    }

    /// A child runs where the thread that starts it does.
    fn on(
        &self,
        cores: &CpuSet,
        program: &str,
        command: &str,
        environment: &[(&str, String)],
    ) -> Result<Process, BenchError> {
        let pin = |cores: &CpuSet| {
            sched_setaffinity(None, cores).map_err(|error| system("pin to a core")(error.into()))
        };
        pin(cores)?;
        let log = self.folder.join(format!("{command}.log"));
        let environment = environment.iter().map(|(name, value)| (name, value));
        let process = Process::start(&self.programs.join(program), &[command], environment, &log);
        pin(&only(self.cores.generator))?;
        Ok(process?)
    }
}

impl Gateway {
    /// Where players connect.
    pub(crate) fn public(&self) -> SocketAddr {
        self.server.address()
    }

    /// Where `/debug/echo` is.
    pub(crate) fn private(&self) -> SocketAddr {
        self.admin
    }

    pub(crate) fn process(&self) -> &Process {
        &self.server
    }

    /// Signs tokens that it takes.
    pub(crate) fn signer(&self) -> &Signer {
        &self.signer
    }
}

/// Processor time of a process so far, kernel and user, to the nanosecond.
///
/// The kernel's work for a packet on the loopback interface is done, and counted, where it was
/// sent.
pub(crate) fn processor_time(process: &Process) -> Result<Duration, BenchError> {
    let read = || -> io::Result<u64> {
        let mut sum = 0;
        for task in fs::read_dir(format!("/proc/{}/task", process.id()))? {
            let text = fs::read_to_string(task?.path().join("schedstat"))?;
            sum += text
                .split(' ')
                .next()
                .and_then(|first| first.parse::<u64>().ok())
                .unwrap_or(0);
        }
        Ok(sum)
    };
    read()
        .map(Duration::from_nanos)
        .map_err(system("read a server's processor time"))
}

/// Memory of a process once it has stopped changing.
pub(crate) fn settled_memory(process: &Process) -> Result<Memory, BenchError> {
    let mut looks = Vec::new();
    let began = std::time::Instant::now();
    loop {
        looks.push(memory(process).map_err(system("read a server's memory"))?);
        let last = looks.len().checked_sub(LOOKS).map(|from| &looks[from..]);
        let still = last.is_some_and(|last| last.iter().all(|look| look.rss == last[0].rss));
        if still || began.elapsed() > SETTLE {
            return Ok(looks[looks.len() - 1]);
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

fn memory(process: &Process) -> io::Result<Memory> {
    let text = fs::read_to_string(format!("/proc/{}/smaps_rollup", process.id()))?;
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let kilobytes =
            line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
        kilobytes.unwrap_or(0) * 1024
    };
    Ok(Memory {
        rss: field("Rss:"),
        pss: field("Pss:"),
    })
}

/// A port that was free a moment ago. The private server does not say where it is.
fn free_port() -> io::Result<SocketAddr> {
    TcpListener::bind(("127.0.0.1", 0))?.local_addr()
}

fn only(core: usize) -> CpuSet {
    let mut set = CpuSet::new();
    set.set(core);
    set
}
