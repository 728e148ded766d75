//! A guest for testenv/abi, made with the Rust SDK: its configuration is the guest's part
//! of a scenario, which it carries out and writes a record of into the log. It is
//! testenv/guests/script once more.

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, Bytes, ContextType, LogLevel, MapType, MetricType, Status};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|id| Box::new(Root { id, script: Rc::new(RefCell::new(Script::default())) }));
}}

#[derive(Default)]
struct Block {
    callback: String,
    given: String,
    end: bool,
    nth: usize,
    ops: Vec<String>,
}

/// A scenario, with what its variables hold.
#[derive(Default)]
struct Script {
    name: String,
    blocks: Rc<Vec<Block>>,
    vars: HashMap<String, String>,
    counts: HashMap<String, usize>,
}

impl Script {
    fn parse(&mut self, text: &str) {
        let mut blocks: Vec<Block> = Vec::new();
        for line in text.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.first() {
                None => {}
                Some(&"id") => self.name = words[1].to_string(),
                Some(&"on") => {
                    let mut b = Block { callback: words[1].to_string(), ..Default::default() };
                    for w in &words[2..] {
                        if *w == "end" {
                            b.end = true;
                        } else if let Some(n) = w.strip_prefix('#') {
                            b.nth = n.parse().unwrap_or(0);
                        } else if let Some(v) = w.strip_prefix("if=") {
                            b.given = v.to_string();
                        }
                    }
                    blocks.push(b);
                }
                Some(_) => blocks.last_mut().unwrap().ops.push(line.trim().to_string()),
            }
        }
        self.blocks = Rc::new(blocks);
    }

    fn log(&self, text: &str) {
        hostcalls::log(LogLevel::Info, &format!("{}|{}", self.name, text)).unwrap();
    }

    /// Carries out what the scenario has for a callback.
    fn run(&mut self, callback: &str, ctx: u32, end: bool) -> i32 {
        let blocks = self.blocks.clone();
        if !blocks.iter().any(|b| b.callback == callback) {
            return 0;
        }
        let count = self.counts.entry(callback.to_string()).or_insert(0);
        *count += 1;
        let count = *count;
        if end || !callback.ends_with("_body") {
            self.log(&format!("{}()", callback));
        }
        self.vars.insert("ctx".to_string(), ctx.to_string());
        let mut result = 0;
        for b in blocks.iter().filter(|b| b.callback == callback) {
            let given = b.given.is_empty() || !matches!(self.vars.get(&b.given).map(|v| v.as_str()), None | Some("") | Some("0"));
            if b.end && !end || b.nth > 0 && b.nth != count || !given {
                continue;
            }
            for op in &b.ops {
                match op.strip_prefix("return ") {
                    Some(n) => result = n.parse().unwrap_or(0),
                    None => self.op(op),
                }
            }
        }
        result
    }

    /// Carries out one operation and logs what came of it.
    fn op(&mut self, text: &str) {
        let words = tokens(text.trim_start_matches('~'));
        let mut args = Vec::new();
        let mut names = Vec::new();
        for (i, w) in words[1..].iter().enumerate() {
            if w == ">" {
                names = words[i + 2..].to_vec();
                break;
            }
            args.push(self.value(w));
        }
        if words[0] == "set" {
            self.vars.insert(words[1].clone(), args[1].clone());
            return;
        }
        let (status, mut out) = match self.call(&words[0], &args) {
            Ok(out) => ("OK".to_string(), out),
            Err(e) => (format!("{:?}", e), Vec::new()),
        };
        for (n, v) in names.iter().zip(out.iter()) {
            self.vars.insert(n.clone(), v.trim_matches('"').to_string());
        }
        if text.starts_with('~') {
            out.clear();
        }
        out.insert(0, format!("  {} = {}", text, status));
        self.log(&out.join(" "));
    }

    fn value(&self, w: &str) -> String {
        if w.starts_with('"') {
            unquote(w)
        } else if let Some(name) = w.strip_prefix('$') {
            self.vars.get(name).cloned().unwrap_or_default()
        } else {
            w.to_string()
        }
    }

    /// Makes one call through the SDK and returns what it gave.
    fn call(&mut self, name: &str, a: &[String]) -> Result<Vec<String>, Status> {
        match name {
            "log" => self.log(&format!("({})", a[1])),
            "get_header_map_value" => return found(hostcalls::get_map_value(map(&a[0]), &a[1])?.map(|v| v.into_bytes())),
            "get_header_map_pairs" => return Ok(vec![shown(hostcalls::get_map(map(&a[0]))?)]),
            "set_header_map_pairs" => {
                let list = pairs(&a[1]);
                hostcalls::set_map(map(&a[0]), borrowed(&list))?
            }
            "add_header_map_value" => hostcalls::add_map_value(map(&a[0]), &a[1], &a[2])?,
            "replace_header_map_value" => hostcalls::set_map_value(map(&a[0]), &a[1], Some(&a[2]))?,
            "remove_header_map_value" => hostcalls::set_map_value(map(&a[0]), &a[1], None)?,
            "get_buffer_bytes" => return found(hostcalls::get_buffer(unsafe { std::mem::transmute(number(&a[0])) }, number(&a[1]) as usize, number(&a[2]) as usize)?),
            "set_buffer_bytes" => hostcalls::set_buffer(unsafe { std::mem::transmute(number(&a[0])) }, number(&a[1]) as usize, number(&a[2]) as usize, a[3].as_bytes())?,
            "get_property" => return found(hostcalls::get_property(a[0].split('.').collect())?),
            "set_property" => hostcalls::set_property(a[0].split('.').collect(), Some(a[1].as_bytes()))?,
            "get_shared_data" => {
                let (value, cas) = hostcalls::get_shared_data(&a[0])?;
                self.vars.insert("cas".to_string(), cas.unwrap_or(0).to_string());
                return found(value);
            }
            "set_shared_data" => hostcalls::set_shared_data(&a[0], Some(a[1].as_bytes()), Some(number(&a[2])).filter(|n| *n != 0))?,
            "register_shared_queue" => return Ok(vec![hostcalls::register_shared_queue(&a[0])?.to_string()]),
            "resolve_shared_queue" => {
                return match hostcalls::resolve_shared_queue(&a[0], &a[1])? {
                    Some(id) => Ok(vec![id.to_string()]),
                    None => Err(Status::NotFound),
                }
            }
            "enqueue_shared_queue" => hostcalls::enqueue_shared_queue(number(&a[0]), Some(a[1].as_bytes()))?,
            "dequeue_shared_queue" => {
                return match hostcalls::dequeue_shared_queue(number(&a[0]))? {
                    Some(v) => found(Some(v)),
                    None => Err(Status::Empty),
                }
            }
            "http_call" => {
                let (headers, trailers) = (pairs(&a[1]), pairs(&a[3]));
                hostcalls::dispatch_http_call(&a[0], borrowed(&headers), Some(a[2].as_bytes()), borrowed(&trailers), Duration::from_millis(number(&a[4]) as u64))?;
            }
            "send_local_response" => {
                let headers = pairs(&a[3]);
                hostcalls::send_http_response(number(&a[0]), borrowed(&headers), Some(a[2].as_bytes()))?
            }
            "continue_stream" if a[0] == "1" => hostcalls::resume_http_response()?,
            "continue_stream" => hostcalls::resume_http_request()?,
            "set_tick_period_milliseconds" => hostcalls::set_tick_period(Duration::from_millis(number(&a[0]) as u64))?,
            "set_effective_context" => hostcalls::set_effective_context(number(&a[0]))?,
            "call_foreign_function" => return found(hostcalls::call_foreign_function(&a[0], Some(a[1].as_bytes()))?),
            "define_metric" => return Ok(vec![hostcalls::define_metric(MetricType::Counter, &a[1])?.to_string()]),
            "increment_metric" => hostcalls::increment_metric(number(&a[0]), number(&a[1]) as i64)?,
            "get_metric" => return Ok(vec![hostcalls::get_metric(number(&a[0]))?.to_string()]),
            _ => return Err(Status::BadArgument),
        }
        Ok(Vec::new())
    }
}

fn map(n: &str) -> MapType {
    match n {
        "0" => MapType::HttpRequestHeaders,
        "1" => MapType::HttpRequestTrailers,
        "2" => MapType::HttpResponseHeaders,
        "3" => MapType::HttpResponseTrailers,
        _ => MapType::HttpCallResponseHeaders,
    }
}

fn found(v: Option<Bytes>) -> Result<Vec<String>, Status> {
    Ok(vec![match v {
        Some(v) => format!("{:?}", String::from_utf8_lossy(&v)),
        None => "none".to_string(),
    }])
}

fn number(text: &str) -> u32 {
    text.parse::<i64>().unwrap_or(0) as u32
}

/// Reads a quoted text; scenarios for SDKs escape nothing but quotes.
fn unquote(w: &str) -> String {
    w.trim_matches('"').replace("\\\"", "\"")
}

/// Splits a line at spaces; quotes and brackets hold together.
fn tokens(line: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut rest = line.trim();
    while !rest.is_empty() {
        let n = match rest.as_bytes()[0] {
            b'"' => rest[1..].find('"').map_or(rest.len(), |i| i + 2),
            b'[' => rest.find(']').map_or(rest.len(), |i| i + 1),
            _ => rest.find(' ').unwrap_or(rest.len()),
        };
        out.push(rest[..n].to_string());
        rest = rest[n..].trim();
    }
    out
}

fn pairs(text: &str) -> Vec<(String, String)> {
    let words = tokens(text.trim_start_matches('[').trim_end_matches(']'));
    words.chunks(2).map(|c| (unquote(&c[0]), unquote(&c[1]))).collect()
}

fn borrowed(list: &[(String, String)]) -> Vec<(&str, &str)> {
    list.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect()
}

fn shown(list: Vec<(String, String)>) -> String {
    let mut out: Vec<String> = list.into_iter().filter(|(k, _)| !k.starts_with("x-envoy-")).map(|(k, v)| format!("{}: {}", k, v)).collect();
    out.sort();
    format!("[{}]", out.join("; "))
}

struct Root {
    id: u32,
    script: Rc<RefCell<Script>>,
}

impl Context for Root {
    fn on_http_call_response(&mut self, _: u32, n: usize, _: usize, _: usize) {
        answered(&self.script, self.id, n);
    }
}

fn answered(script: &RefCell<Script>, id: u32, n: usize) {
    let mut s = script.borrow_mut();
    if n == 0 {
        s.vars.insert("failed".to_string(), "1".to_string());
    }
    s.run("http_call_response", id, true);
}

impl RootContext for Root {
    fn on_configure(&mut self, _: usize) -> bool {
        let text = self.get_plugin_configuration().unwrap_or_default();
        let mut s = self.script.borrow_mut();
        s.parse(&String::from_utf8_lossy(&text));
        s.run("configure", self.id, true);
        true
    }
    fn on_tick(&mut self) {
        self.script.borrow_mut().run("tick", self.id, true);
    }
    fn on_queue_ready(&mut self, _: u32) {
        self.script.borrow_mut().run("queue_ready", self.id, true);
    }
    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
    fn create_http_context(&self, id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream { id, script: self.script.clone() }))
    }
}

struct Stream {
    id: u32,
    script: Rc<RefCell<Script>>,
}

impl Stream {
    fn run(&self, callback: &str, end: bool) -> Action {
        match self.script.borrow_mut().run(callback, self.id, end) {
            0 => Action::Continue,
            _ => Action::Pause,
        }
    }
}

impl Context for Stream {
    fn on_http_call_response(&mut self, _: u32, n: usize, _: usize, _: usize) {
        answered(&self.script, self.id, n);
    }
}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _: usize, end: bool) -> Action {
        self.run("request_headers", end)
    }
    fn on_http_request_body(&mut self, _: usize, end: bool) -> Action {
        self.run("request_body", end)
    }
    fn on_http_request_trailers(&mut self, _: usize) -> Action {
        self.run("request_trailers", true)
    }
    fn on_http_response_headers(&mut self, _: usize, end: bool) -> Action {
        self.run("response_headers", end)
    }
    fn on_http_response_body(&mut self, _: usize, end: bool) -> Action {
        self.run("response_body", end)
    }
    fn on_http_response_trailers(&mut self, _: usize) -> Action {
        self.run("response_trailers", true)
    }
    fn on_log(&mut self) {
        let mut s = self.script.borrow_mut();
        s.run("log", self.id, true);
        s.log("delete()");
    }
}
