//! What Lua's own functions give that are not Lua's own here: each answer is that of redis-server 7.0.15.
//!
//! `verified.txt` has an expression to a line, and below it the answer as `run` in `PRELUDE` shows it: EVAL of the
//! prelude, a line feed, `return run(EXPRESSION)`.

use super::*;

const ROWS: &[u8] = include_bytes!("verified.txt");

const PRELUDE: &str = concat!(
    r#"local show show = function(v) local t = type(v) if t == 'string' then return '"' .. string.gsub(string.gsub(v, '[\\"]', '\\%0'), '[^ -~]', function(c) return string.format('\\%03d', string.byte(c)) end) .. '"'"#,
    r#" elseif t == 'number' then if v ~= v then return 'nan' end return string.format('%.17g', v)"#,
    r#" elseif t == 'nil' or t == 'boolean' then return tostring(v) else return t end end"#,
    r#" local function run(...) local o = {} for i = 1, select('#', ...) do o[i] = show((select(i, ...))) end return table.concat(o, ' ') end"#,
    r#" local function all(g, s, p) return pcall(function() local o, n = {}, 0 for a, b, c in g(s, p) do n = n + 1 o[n] = run(a, b, c) end return unpack(o) end) end"#,
    r#" local function after(f, t, ...) local r = {pcall(f, t, ...)} local o = {} for i = 1, 8 do o[i] = show(t[i]) end return table.concat(o, ' '), unpack(r, 1, 3) end"#,
);

#[test]
fn every_expression_gives_what_redis_gives() {
    let mut interpreter = interpreter();
    let mut wrong = Vec::new();
    let mut rows = 0;
    let rows_of = String::from_utf8_lossy(ROWS);
    let mut lines = rows_of.lines().filter(|line| !line.is_empty() && !line.starts_with("# "));
    while let Some(expression) = lines.next() {
        let expected = lines.next().and_then(|line| line.strip_prefix("    => ")).unwrap();
        let script = format!("{PRELUDE}\nreturn run({expression})");
        let got = match run_on(&mut interpreter, &script, &mut host()) {
            Ok(Reply::Bulk(text)) => String::from_utf8_lossy(&text).into_owned(),
            other => format!("{other:?}"),
        };
        rows += 1;
        if got != expected {
            wrong.push(format!("{expression}\n    => {expected}\n   not {got}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {rows} are wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(rows > 300);
}
