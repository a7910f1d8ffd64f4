//! `dashboard-look`: the dashboard of a running server in a real browser. A test cannot tell whether a page is readable: this
//! command draws it, so that somebody looks.

use crate::Result;
use crate::args::Args;
use crate::cargo::target_dir;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use testkit::tools;

pub(crate) const HELP: &str = "\
Usage: cargo xtask dashboard-look [--http ADDR]

Opens the dashboard of a running server (127.0.0.1:6380, or what --http says) in a headless Chromium, fails
unless it shows numbers, and draws it for a desk and a telephone, light and dark: target/dashboard/*.png.
Needs Chromium (Debian: apt-get install chromium).
";

const BROWSERS: &[&str] = &["chromium", "chromium-browser", "google-chrome"];
/// What the browser's clock shows when it is done: time for a few readings.
const VIRTUAL_MS: u32 = 8_000;
const SIZES: &[(&str, &str)] = &[("desk", "1280,1600"), ("telephone", "500,3200")];
const SCHEMES: &[(&str, &str)] = &[("dark", "0"), ("light", "1")];

pub(crate) fn look(mut args: Args) -> Result {
    let address = args.option("--http")?.unwrap_or_else(|| "127.0.0.1:6380".to_owned());
    args.finish()?;
    let browser = (BROWSERS.iter().find_map(|name| tools::find(name)))
        .ok_or("there is no Chromium here (Debian: apt-get install chromium)")?;
    let url = format!("http://{address}/");
    TcpStream::connect(&address).map_err(|error| format!("no server at {url} (--http): {error}"))?;
    let profile = tempfile::tempdir()?;
    let page = browse(&browser, profile.path(), &["--dump-dom", &url])?;
    let folder = target_dir().join("dashboard");
    std::fs::create_dir_all(&folder)?;
    if let Some(part) = missing(&page) {
        let file = folder.join("page.html");
        std::fs::write(&file, page)?;
        return Err(format!("the dashboard at {url} does not show {part}: {}", file.display()).into());
    }
    for (size, pixels) in SIZES {
        for (scheme, number) in SCHEMES {
            let file = folder.join(format!("{size}-{scheme}.png"));
            let (window, draw) =
                (format!("--window-size={pixels}"), format!("--screenshot={}", file.display()));
            let colours = format!("--blink-settings=preferredColorScheme={number}");
            browse(&browser, profile.path(), &[&window, &draw, &colours, "--hide-scrollbars", &url])?;
            println!("{}", file.display());
        }
    }
    Ok(())
}

fn browse(browser: &Path, profile: &Path, args: &[&str]) -> Result<String> {
    // Without its sandbox, for that cannot be had as root or in most containers: it opens our own page only.
    let fixed = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"];
    let output = Command::new(browser)
        .args(fixed)
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("--virtual-time-budget={VIRTUAL_MS}"))
        .args(args)
        .stderr(Stdio::null())
        .output()?;
    if !output.status.success() {
        return Err(format!("{}: {}", browser.display(), output.status).into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What a page that works has, and this one has not.
fn missing(page: &str) -> Option<&'static str> {
    let values = page.matches("<div class=\"value\"><span>").count();
    let rows = page.matches("<tr><td").count();
    [
        ("that the node is ready", page.contains("✓ Ready")),
        ("its main part", page.contains("<main id=\"main\">")),
        ("eight numbers", values == 8),
        ("the rows of its tables", rows >= 15),
        ("charts", page.contains("<path class=\"line\" d=\"M")),
    ]
    .into_iter()
    .find_map(|(part, is_there)| (!is_there).then_some(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_does_not_work_is_told_from_one_that_does() {
        let good = format!(
            "✓ Ready<main id=\"main\">{}{}<path class=\"line\" d=\"M1 2\">",
            "<div class=\"value\"><span>".repeat(8),
            "<tr><td>".repeat(15)
        );
        assert_eq!(missing(&good), None);
        for (broken, expected) in [
            (good.replace("✓ Ready", "Connecting …"), "that the node is ready"),
            (good.replace("id=\"main\"", "id=\"main\" hidden"), "its main part"),
            (good.replacen("value", "x", 1), "eight numbers"),
            (good.replacen("<tr>", "", 1), "the rows of its tables"),
            (good.replace("M1 2", ""), "charts"),
        ] {
            assert_eq!(missing(&broken), Some(expected));
        }
    }
}
