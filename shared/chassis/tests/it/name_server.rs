//! A name server on a free port whose records, and whose failures, a test sets.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::SRV;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use parking_lot::Mutex;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Longest that a test waits for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct NameServer {
    address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
    task: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Zone {
    records: BTreeMap<(String, RecordType), Vec<Record>>,
    /// Said instead of any answer.
    failure: Option<ResponseCode>,
    /// Types that are not answered at all.
    ignored: Vec<RecordType>,
    questions: Vec<(RecordType, Instant)>,
}

impl NameServer {
    pub(crate) async fn start() -> Self {
        let socket = UdpSocket::bind(("127.0.0.1", 0)).await.unwrap();
        let mut server = Self {
            address: socket.local_addr().unwrap(),
            zone: Arc::default(),
            task: None,
        };
        server.serve(socket);
        server
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends, and leaves the port closed.
    pub(crate) async fn stop(&mut self) {
        let task = self.task.take().expect("it runs");
        task.abort();
        let _ = task.await;
    }

    /// Runs again at the same port.
    pub(crate) async fn resume(&mut self) {
        let socket = UdpSocket::bind(self.address).await.unwrap();
        self.serve(socket);
    }

    /// Sets the addresses of `name`, of both families.
    pub(crate) fn set_host(&self, name: &str, ttl: u32, addresses: &[IpAddr]) {
        for kind in [RecordType::A, RecordType::AAAA] {
            let of_kind = addresses.iter().copied().map(RData::from);
            let data = of_kind.filter(|data| data.record_type() == kind);
            self.set(name, kind, ttl, data.collect());
        }
    }

    /// Sets the SRV records of `name`: priority, port and target of each.
    pub(crate) fn set_service(&self, name: &str, ttl: u32, targets: &[(u16, u16, &str)]) {
        let records = targets.iter().map(|(priority, port, target)| {
            let target = Name::from_ascii(target).unwrap();
            RData::SRV(SRV::new(*priority, 1, *port, target))
        });
        self.set(name, RecordType::SRV, ttl, records.collect());
    }

    fn set(&self, name: &str, kind: RecordType, ttl: u32, data: Vec<RData>) {
        let owner = Name::from_ascii(name).unwrap();
        let records = data
            .into_iter()
            .map(|data| Record::from_rdata(owner.clone(), ttl, data))
            .collect();
        self.zone
            .lock()
            .records
            .insert((owner.to_ascii(), kind), records);
    }

    /// Fails every question from now on, or answers again.
    pub(crate) fn fail(&self, failure: Option<ResponseCode>) {
        self.zone.lock().failure = failure;
    }

    /// Leaves questions for `kind` without an answer.
    pub(crate) fn ignore(&self, kind: RecordType) {
        self.zone.lock().ignored.push(kind);
    }

    /// When questions for `kind` came.
    pub(crate) fn questions(&self, kind: RecordType) -> Vec<Instant> {
        let zone = self.zone.lock();
        let of_kind = zone.questions.iter().filter(|(asked, _)| *asked == kind);
        of_kind.map(|(_, at)| *at).collect()
    }

    /// Waits for the `count`-th question for `kind`, from 1, and tells when it came.
    pub(crate) async fn question(&self, kind: RecordType, count: usize) -> Instant {
        let asked = async {
            loop {
                if let Some(at) = self.questions(kind).get(count - 1) {
                    return *at;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, asked).await.expect("a question")
    }

    fn serve(&mut self, socket: UdpSocket) {
        let zone = self.zone.clone();
        self.task = Some(tokio::spawn(async move {
            let mut buffer = [0; 4096];
            loop {
                let (length, client) = socket.recv_from(&mut buffer).await.unwrap();
                let question = Message::from_vec(&buffer[..length]).unwrap();
                let answer = zone.lock().answer(&question);
                if let Some(answer) = answer {
                    let bytes = answer.to_vec().unwrap();
                    let _ = socket.send_to(&bytes, client).await;
                }
            }
        }));
    }
}

impl Zone {
    fn answer(&mut self, question: &Message) -> Option<Message> {
        let query = question.queries.first()?;
        let kind = query.query_type();
        self.questions.push((kind, Instant::now()));
        if self.ignored.contains(&kind) {
            return None;
        }
        let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
        answer.metadata.recursion_available = true;
        answer.add_query(query.clone());
        let owner = query.name().to_ascii().to_lowercase();
        match (self.failure, self.records.get(&(owner, kind))) {
            (Some(failure), _) => answer.metadata.response_code = failure,
            (None, Some(records)) => {
                answer.add_answers(records.iter().cloned());
            }
            (None, None) => answer.metadata.response_code = ResponseCode::NXDomain,
        }
        Some(answer)
    }
}
