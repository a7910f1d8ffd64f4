//! The API itself: the real process, asked over gRPC for pages of 1,000 until there are no more.

use super::{Listed, Progress};
use crate::api::Api;
use crate::listing::number_of;
use ateapi::proto::ListActorsRequest;
use std::time::{Duration, Instant};
use testkit::{Result, proc, wait};
use tokio::runtime::Builder;

const PAGE_SIZE: i32 = 1000;
const TENTHS: usize = 10;
const START_MAX: Duration = Duration::from_secs(60);

pub(super) fn list(seeds: &str, actors: usize, say: &mut dyn FnMut(&str)) -> Result<Listed> {
    let api = Api::over(seeds, &["--log-level", "warn"])?;
    let is_ready = || api.http("/readyz").ok()?.contains(" 200 ").then_some(());
    wait::until("the API to be ready", START_MAX, is_ready)?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let mut client = runtime.block_on(async { api.client() })?;
    let (mut seen, mut count) = (vec![false; actors], 0);
    let mut listed = Listed { pages: vec![Vec::new(); TENTHS], ..Listed::default() };
    listed.resident_before = proc::resident_bytes(api.pid())?;
    let (mut progress, mut token) = (Progress::new(), String::new());
    let begin = Instant::now();
    loop {
        let request = ListActorsRequest { page_size: PAGE_SIZE, page_token: token, atespace: String::new() };
        let asked = Instant::now();
        let page = runtime.block_on(client.list_actors(request))?.into_inner();
        let tenth = (count * TENTHS / actors.max(1)).min(TENTHS - 1);
        listed.pages.get_mut(tenth).ok_or("no such tenth")?.push(asked.elapsed());
        for actor in &page.actors {
            let number = number_of(&actor.actor_id).ok_or("an actor came that nobody has made")?;
            let place = seen.get_mut(number).ok_or("an actor came that nobody has made")?;
            count += usize::from(!std::mem::replace(place, true));
        }
        progress.note("pages", count, say);
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    listed.time = begin.elapsed();
    listed.actors = count;
    listed.resident_peak = proc::resident_peak_bytes(api.pid())?;
    if count == actors { Ok(listed) } else { Err(format!("{count} of {actors} actors came").into()) }
}
