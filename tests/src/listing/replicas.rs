//! The API as processes over one store, which take turns.

use crate::api::{Api, Control};
use ateapi::proto::{ListActorsRequest, ListActorsResponse};
use std::time::Duration;
use testkit::Result;
use tonic::{Request, Status};

/// Which take turns with each call.
const REPLICAS: usize = 2;

/// One of so many calls is the last one of its process, which is killed during it. It is odd, so that each
/// replica has its turn to die.
const CALLS_PER_DEATH: usize = 51;

/// A call that takes longer is over.
const CALL_TIME_MAX: Duration = Duration::from_secs(5);

/// What listings have asked of the store, by the processes' own account: without the calls during which one died.
#[derive(Debug, Default, Clone, Copy)]
pub struct Costs {
    pub scans: u64,
    pub batches: u64,
    pub looks: u64,
    pub restarts: u64,
    pub disturbances: u64,
}

pub(super) struct Replicas {
    seeds: String,
    running: Vec<(Api, Control)>,
    /// Whether they die.
    are_mortal: bool,
    calls: usize,
    pub(super) deaths: usize,
    /// Of those that have died.
    costs: Costs,
}

impl Replicas {
    /// Of a store. Belongs to a runtime.
    pub(super) fn start(seeds: String, are_mortal: bool) -> Result<Self> {
        let running = (0..REPLICAS).map(|_| started(&seeds)).collect::<Result<_>>()?;
        Ok(Self { seeds, running, are_mortal, calls: 0, deaths: 0, costs: Costs::default() })
    }

    /// One call, of the replica whose turn it is.
    pub(super) async fn list(
        &mut self,
        request: ListActorsRequest,
    ) -> Result<std::result::Result<ListActorsResponse, Status>> {
        self.calls += 1;
        let is_last = self.are_mortal && self.calls.is_multiple_of(CALLS_PER_DEATH);
        let turn = self.calls % REPLICAS;
        let (api, client) = self.running.get_mut(turn).ok_or("no replica")?;
        let mut request = Request::new(request);
        request.set_timeout(CALL_TIME_MAX);
        if !is_last {
            return Ok(client.list_actors(request).await.map(tonic::Response::into_inner));
        }
        self.costs.add(api)?;
        let mut client = client.clone();
        let call = tokio::spawn(async move { client.list_actors(request).await });
        api.kill()?;
        self.deaths += 1;
        let answer = call.await?;
        if let Some(place) = self.running.get_mut(turn) {
            *place = started(&self.seeds)?;
        }
        Ok(answer.map(tonic::Response::into_inner))
    }

    pub(super) fn costs(&self) -> Result<Costs> {
        let mut costs = self.costs;
        for (api, _) in &self.running {
            costs.add(api)?;
        }
        Ok(costs)
    }
}

impl Costs {
    fn add(&mut self, api: &Api) -> Result {
        self.scans += api.metric("ateapi_listing_scans_total")?;
        self.batches += api.metric("ateapi_listing_batches_total")?;
        self.looks += api.metric("ateapi_listing_looks_total")?;
        self.restarts += api.metric("ateapi_listing_restarts_total")?;
        self.disturbances += api.metric("ateapi_listing_disturbances_total")?;
        Ok(())
    }
}

fn started(seeds: &str) -> Result<(Api, Control)> {
    let api = Api::over(seeds, &[])?;
    let client = api.client()?;
    Ok((api, client))
}
