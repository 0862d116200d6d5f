//! Results by way of the queue into a real database, through crashes of everybody on the way.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use pixelrush_engine::pipeline::{BATCH, Consumer, Point, Queued};
use pixelrush_engine::redis::{Redis, RedisConfig, ResultQueue, Whereabouts};
use pixelrush_engine::{Engine, MatchResult, Players, Results, conformance};
use protocol::id::{MatchId, PlayerId};
use servers::RedisServer;
use tokio_util::task::AbortOnDropHandle;

use crate::on_postgres::Rig;
use crate::real::{self, CLUSTER, SHARED, until};

/// Much longer than anything here takes.
const NEVER: Duration = Duration::from_secs(60);

struct Pipeline {
    rig: Rig,
    engine: Engine,
    queue: ResultQueue,
}

impl Pipeline {
    async fn start(redis: &RedisServer, prefix: &str) -> Self {
        Self::over(&real::single(redis, prefix)).await
    }

    async fn over(redis: &RedisConfig) -> Self {
        let rig = Rig::start();
        let engine = Engine::redis(redis).await;
        let config = rig.config(rig.server.url());
        let engine = engine.expect("Redis is there").lasting_in(&config).await;
        let engine = engine.expect("Postgres is there");
        // What is taken is anybody's soon: the tests take it again.
        let queue = engine.queue.clone().expect("a queue");
        let queue = queue.taken_for(Duration::from_millis(50));
        Self { rig, engine, queue }
    }

    fn consumer(&self, name: &str) -> Consumer {
        let database = self.engine.results.clone();
        Consumer::new(name.to_owned(), self.queue.clone(), database)
    }

    fn working(&self, name: &str) -> AbortOnDropHandle<()> {
        AbortOnDropHandle::new(tokio::spawn(self.consumer(name).run()))
    }

    /// The end that syncd has.
    fn queued(&self, patience: Duration) -> Arc<dyn Results> {
        let queued = Queued::new(self.queue.clone(), self.engine.results.clone());
        Arc::new(queued.patience(patience))
    }

    fn players(&self) -> &Arc<dyn Players> {
        self.engine.players.as_ref().expect("players")
    }

    /// One row each, one change each.
    async fn has_once(&self, results: u64) {
        let count = self.engine.results.count().await.expect("counted");
        assert_eq!(count, results);
        for player in [1, 2].map(PlayerId) {
            let ratings = self.players().ratings(&[player]).await.expect("read");
            assert_eq!(ratings[0].games, results, "one change a match");
        }
    }
}

fn result(number: u64) -> MatchResult {
    conformance::players::result(number, "race", 1_000 + number, &[1, 2])
}

/// Delivers like syncd: until it is done.
async fn deliver(results: Arc<dyn Results>, numbers: impl Iterator<Item = u64>) {
    for number in numbers {
        while results.record(&result(number)).await.is_err() {}
    }
}

#[tokio::test]
async fn a_result_is_told_recorded_when_the_database_has_it() {
    let pipeline = Pipeline::start(&SHARED, "pipe-told").await;
    let _consumer = pipeline.working("one");
    let results = pipeline.queued(NEVER);
    results.record(&result(1)).await.expect("recorded");
    pipeline.has_once(1).await;
    results.record(&result(1)).await.expect("again is harmless");
    pipeline.has_once(1).await;
    let empty = async || pipeline.queue.take("looks").await.expect("taken").waiting == 0;
    until("the queue is empty", empty).await;
}

#[tokio::test]
async fn a_cluster_has_the_queue_in_one_slot() {
    let cluster = CLUSTER.read().await;
    let pipeline = Pipeline::over(&real::cluster(&cluster, "pipe-cluster")).await;
    let _consumer = pipeline.working("one");
    let results = pipeline.queued(NEVER);
    for number in 0..5 {
        results.record(&result(number)).await.expect("recorded");
    }
    pipeline.has_once(5).await;
}

#[tokio::test]
async fn a_consumer_that_dies_at_any_point_loses_nothing_and_counts_nothing_twice() {
    let pipeline = Pipeline::start(&SHARED, "pipe-dies").await;
    for (number, dies_at) in (1..).zip([Point::Taken, Point::Recorded, Point::Removed]) {
        pipeline.queue.add(&result(number)).await.expect("added");
        let mut dying = pipeline.consumer("dying");
        let stepped = dying.step(|point| point != dies_at).await;
        stepped.expect("it got that far");
        drop(dying);
        let next = pipeline.consumer("next");
        let next = AbortOnDropHandle::new(tokio::spawn(next.run()));
        let id = MatchId(number);
        let is_done = async || {
            let found = pipeline.queue.look(&[id]).await.expect("looked");
            found == [Whereabouts::Done]
        };
        until(&format!("done though one died at {dies_at:?}"), is_done).await;
        drop(next);
        pipeline.has_once(number).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn results_delivered_twice_to_several_consumers_are_one_row_and_one_change() {
    const RESULTS: u64 = 120;
    let pipeline = Pipeline::start(&SHARED, "pipe-twice").await;
    let _consumers = ["one", "two", "three"].map(|name| pipeline.working(name));
    let nodes = [pipeline.queued(NEVER), pipeline.queued(NEVER)];
    let delivering: Vec<_> = nodes
        .iter()
        .flat_map(|node| (0..4).map(move |share| (node.clone(), share)))
        .map(|(node, share)| {
            let numbers = (0..RESULTS).filter(move |number| number % 4 == share);
            tokio::spawn(deliver(node, numbers))
        })
        .collect();
    for one in delivering {
        one.await.expect("delivered");
    }
    pipeline.has_once(RESULTS).await;
}

/// Exactly as many as one look asks for: the next look has nobody left, and there has to be a third.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_many_as_one_look_asks_for_are_all_told() {
    let pipeline = Pipeline::start(&SHARED, "pipe-full").await;
    let results = pipeline.queued(NEVER);
    let ids: Vec<MatchId> = (0..BATCH as u64).map(MatchId).collect();
    let delivering: Vec<_> = ids
        .iter()
        .map(|id| tokio::spawn(deliver(results.clone(), id.0..=id.0)))
        .collect();
    let all_queued = async || {
        let found = pipeline.queue.look(&ids).await.expect("looked");
        found.iter().all(|found| *found == Whereabouts::Held)
    };
    until("all wait", all_queued).await;
    let _consumer = pipeline.working("one");
    for one in delivering {
        one.await.expect("delivered");
    }
    pipeline.has_once(BATCH as u64).await;
}

#[tokio::test]
async fn what_redis_loses_is_put_in_again() {
    let redis = RedisServer::start();
    let pipeline = Pipeline::start(&redis, "pipe-lost").await;
    let results = pipeline.queued(NEVER);
    let delivering = tokio::spawn(deliver(results, 1..=1));
    let held = async || pipeline.queue.look(&[MatchId(1)]).await.unwrap() == [Whereabouts::Held];
    until("it is queued", held).await;
    empty(&redis).await;
    until("it is queued again", held).await;
    let _consumer = pipeline.working("one");
    delivering.await.expect("delivered");
    pipeline.has_once(1).await;
}

async fn empty(redis: &RedisServer) {
    let other = Redis::connect(&real::single(redis, "other")).await;
    let other = other.expect("Redis is there");
    let flush = pixelrush_engine::redis::Call::command("FLUSHALL", "SYNC");
    let _: String = other.run("emptying Redis", flush).await.expect("emptied");
}

#[tokio::test]
async fn without_consumers_who_has_a_result_writes_it_and_a_late_consumer_changes_nothing() {
    let pipeline = Pipeline::start(&SHARED, "pipe-alone").await;
    let results = pipeline.queued(Duration::from_millis(50));
    results.record(&result(1)).await.expect("recorded");
    pipeline.has_once(1).await;
    let stepped = pipeline.consumer("late").step(|_| true).await;
    assert_eq!(stepped.expect("it took it"), 1);
    pipeline.has_once(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_away_delays_results_and_loses_none() {
    const RESULTS: u64 = 60;
    let mut pipeline = Pipeline::start(&SHARED, "pipe-away").await;
    let _consumers = ["one", "two"].map(|name| pipeline.working(name));
    let results = pipeline.queued(Duration::from_millis(500));
    deliver(results.clone(), 0..5).await;
    pipeline.rig.server.kill();
    let begun = Arc::new(AtomicUsize::new(0));
    let delivering: Vec<_> = (5..RESULTS)
        .map(|number| {
            let (results, begun) = (results.clone(), begun.clone());
            tokio::spawn(async move {
                begun.fetch_add(1, Ordering::Relaxed);
                deliver(results, number..=number).await;
            })
        })
        .collect();
    let all_queued = async || {
        let ids: Vec<MatchId> = (5..RESULTS).map(MatchId).collect();
        let found = pipeline.queue.look(&ids).await.expect("looked");
        found.iter().all(|found| *found == Whereabouts::Held)
    };
    until("all wait", all_queued).await;
    pipeline.rig.server.restart();
    for one in delivering {
        one.await.expect("delivered");
    }
    assert_eq!(begun.load(Ordering::Relaxed) as u64, RESULTS - 5);
    pipeline.has_once(RESULTS).await;
}

#[tokio::test]
async fn what_nobody_can_read_is_given_up_and_keeps_nothing_back() {
    let pipeline = Pipeline::start(&SHARED, "pipe-garbage").await;
    let redis = pipeline.engine.redis.clone().expect("Redis");
    let entries = redis.key("result-queue", "entries");
    let call = pixelrush_engine::redis::Call::command("XADD", &entries);
    let call = ["*", "match", "mt_x", "result", "{"]
        .iter()
        .fold(call, |call, text| call.arg(*text));
    let _: String = redis.run("writing garbage", call).await.expect("written");
    pipeline.queue.add(&result(1)).await.expect("added");
    let stepped = pipeline.consumer("one").step(|_| true).await;
    assert_eq!(stepped.expect("both are dealt with"), 2);
    pipeline.has_once(1).await;
    let taken = pipeline.queue.take("two").await.expect("taken");
    assert_eq!((taken.waiting, taken.entries.len()), (0, 0));
}
