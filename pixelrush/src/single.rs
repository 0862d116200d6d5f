//! Every service in one process, with the same gRPC between them over memory, and bots that come
//! in by the front door.

use std::collections::BTreeMap;

use chassis::admin::Admin;
use chassis::drain::Drain;
use client::address::Address;
use gateway::Origins;
use matcher::SyncdNode;
use rpc::transport::{Endpoint, Incoming, memory};
use tokio_util::sync::CancellationToken;

use crate::bots::Pool;
use crate::failure::Failure;
use crate::running::Running;
use crate::secrets::Secrets;
use crate::service::{Host, generation, listen, say};
use crate::stores::MatcherStores;

/// Starts everything and says where the game is.
pub(crate) async fn start(host: &Host, admin: Admin, greet: bool) -> Result<Running, Failure> {
    let settings = host.settings();
    if settings.engine.redis.is_some() {
        let text =
            "engine.redis is for services that run apart; leave it out, or start one service";
        return Err(Failure::Settings(text.to_owned()));
    }
    let secrets = Secrets::read_or_make(&settings)?;
    let (engine, admin) = host.lasting(host.embedded()?, admin).await?;
    let listener = listen(settings.gateway.listen)?;
    let address = listener.local_addr()?;

    let (syncd_endpoint, syncd_incoming) = memory();
    let (matcher_endpoint, matcher_incoming) = memory();
    let syncd_node = settings.syncd.node.clone();
    let nodes = vec![SyncdNode {
        name: syncd_node.clone(),
        endpoint: Endpoint::Memory(syncd_endpoint.clone()),
        region: None,
    }];
    let origins = Origins::Static {
        matcher: (
            settings.matcher.node.clone(),
            Endpoint::Memory(matcher_endpoint),
        ),
        rooms: BTreeMap::from([(syncd_node, Endpoint::Memory(syncd_endpoint))]),
    };
    let syncd = host.start_syncd(Incoming::Memory(syncd_incoming), &engine, None);
    let stores = MatcherStores::alone(&engine, nodes, settings.matcher.players);
    let incoming = Incoming::Memory(matcher_incoming);
    let matcher = host.start_matcher(incoming, stores, &secrets, generation())?;
    // Its own drain: there is no other gateway to go to, so nobody waits for races to end.
    let leaving = Drain::new();
    let (gateway, serving) = host.start_gateway(listener, origins, &secrets, leaving.clone());
    let admin = host.start_admin(admin, Some(&gateway))?;
    say(&format!("PixelRush is at http://{address}"));
    if greet {
        say("Open it in a browser and press Race. Ctrl-C ends it.");
    }
    if settings.engine.data_dir.is_none() && engine.postgres.is_none() {
        tracing::info!(
            "results are kept in memory; set engine.data_dir or engine.postgres to keep them"
        );
    }

    let local: Address = format!("http://127.0.0.1:{}", address.port())
        .parse()
        .expect("a loopback address is one");
    let stop = CancellationToken::new();
    let pool = Pool::new(settings.bots.clone(), local, secrets.signer.clone());
    let bots = tokio::spawn(pool.run(stop.clone()));
    let drain = host.drain.clone();
    tokio::spawn(async move {
        drain.started().await;
        stop.cancel();
        leaving.begin();
    });
    drop((syncd, matcher)); // they end with the process
    Ok(Running::new(vec![serving, bots], admin))
}
