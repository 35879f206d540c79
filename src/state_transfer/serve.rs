//! The source's side: answers from a pinned accepted state.

use super::message::{DatabaseHead, Reply, Request};
use crate::page_store::Snapshot;

/// Answers a request from the databases of the state that it names; `state` is nothing if that state is not
/// held. Bytes that turn out damaged here are not sent: the reply is then [`Reply::NotHeld`].
pub fn answer(request: &Request, state: Option<&[(String, Snapshot)]>) -> Reply {
    let Some(state) = state else { return Reply::NotHeld };
    let find = |name: &str| state.iter().find(|(database, _)| database == name).map(|(_, snapshot)| snapshot);
    match request {
        Request::State(_) => Reply::State(
            state
                .iter()
                .map(|(name, snapshot)| DatabaseHead {
                    name: name.clone(),
                    top: snapshot.top_hash(),
                    page_count: snapshot.page_count(),
                })
                .collect(),
        ),
        Request::Nodes { database, nodes, .. } => find(database)
            .and_then(|snapshot| {
                let hashes = nodes.iter().map(|(level, index)| snapshot.children(*level, *index).ok().map(Vec::from));
                hashes.collect::<Option<Vec<_>>>()
            })
            .map_or(Reply::NotHeld, Reply::Nodes),
        Request::Pages { database, pages, .. } => find(database)
            .and_then(|snapshot| {
                let bytes = pages.iter().map(|page| snapshot.page(*page).ok().map(|bytes| bytes.to_vec()));
                bytes.collect::<Option<Vec<_>>>()
            })
            .map_or(Reply::NotHeld, Reply::Pages),
    }
}
