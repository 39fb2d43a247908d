//! Rust jsonwebtoken on aws-lc-rs: key and validation made once, claims as a serde_json map.
//! Speaks the peers' protocol (see ../protocol.py).

use std::io::{BufRead, Write};
use std::str::FromStr;
use std::time::{Duration, Instant};
use std::{env, fs, process};

use jsonwebtoken::{decode, Algorithm, DecodingKey, Validation};
use serde_json::{json, Map, Value};

const VERSION: &str = "11.1.0";

struct Corpus {
    about: Value,
    tokens: Vec<String>,
    verdicts: Vec<bool>,
}

fn say(message: Value) {
    println!("{message}");
    let _ = std::io::stdout().flush();
}

fn die(text: &str) -> ! {
    say(json!({ "error": format!("jsonwebtoken: {text}") }));
    process::exit(1)
}

fn unsupported(text: &str) -> ! {
    say(json!({ "unsupported": format!("jsonwebtoken: {text}") }));
    process::exit(0)
}

fn read_corpus(folder: &str, alg: &str) -> Corpus {
    let about = fs::read_to_string(format!("{folder}/corpus.json")).unwrap_or_else(|e| die(&e.to_string()));
    let lines = fs::read_to_string(format!("{folder}/{alg}/tokens.tsv")).unwrap_or_else(|e| die(&e.to_string()));
    let cases: Vec<(&str, &str)> = lines.lines().filter_map(|line| line.split_once('\t')).collect();
    Corpus {
        about: serde_json::from_str(&about).unwrap_or_else(|e| die(&e.to_string())),
        tokens: cases.iter().map(|(_, token)| token.to_string()).collect(),
        verdicts: cases.iter().map(|(verdict, _)| *verdict == "ok").collect(),
    }
}

fn load_key(folder: &str, alg: &str) -> jsonwebtoken::errors::Result<DecodingKey> {
    let name = if alg.starts_with("HS") { "secret.bin" } else { "public.pem" };
    let octets = fs::read(format!("{folder}/{alg}/{name}")).unwrap_or_else(|e| die(&e.to_string()));
    match &alg[..2] {
        "HS" => Ok(DecodingKey::from_secret(&octets)),
        "RS" | "PS" => DecodingKey::from_rsa_pem(&octets),
        "ES" => DecodingKey::from_ec_pem(&octets),
        _ => DecodingKey::from_ed_pem(&octets),
    }
}

fn pass(corpus: &Corpus, want: usize, verify: &dyn Fn(&str) -> bool) -> f64 {
    let start = Instant::now();
    let accepted = corpus.tokens.iter().filter(|token| verify(token)).count();
    let taken = start.elapsed();
    if accepted != want {
        die(&format!("accepted {accepted}, the corpus has {want}"));
    }
    taken.as_nanos() as f64 / corpus.tokens.len() as f64
}

fn main() {
    let args: Vec<String> = env::args().collect();
    let (folder, alg) = (&args[1], &args[2]);
    let corpus = read_corpus(folder, alg);
    let algorithm = Algorithm::from_str(alg).unwrap_or_else(|_| unsupported(&format!("has no {alg}")));
    let key = load_key(folder, alg).unwrap_or_else(|e| unsupported(&e.to_string()));
    let mut validation = Validation::new(algorithm);
    validation.leeway = 0;
    validation.set_issuer(&[corpus.about["issuer"].as_str().unwrap_or_default()]);
    validation.set_audience(&[corpus.about["audience"].as_str().unwrap_or_default()]);
    validation.set_required_spec_claims(&["exp", "iss", "aud"]);
    let subject = corpus.about["subject"].as_str().unwrap_or_default();
    let verify = |token: &str| match decode::<Map<String, Value>>(token, &key, &validation) {
        Ok(data) => data.claims.get("sub").and_then(Value::as_str) == Some(subject),
        Err(_) => false,
    };
    let want = corpus.verdicts.iter().filter(|good| **good).count();
    if !verify(&corpus.tokens[0]) {
        unsupported(&format!("does not verify {alg}"));
    }
    for (index, token) in corpus.tokens.iter().enumerate() {
        if verify(token) != corpus.verdicts[index] {
            die(&format!("{alg}: wrong verdict for corpus line {index}"));
        }
    }
    say(json!({"ready": true, "peer": "jsonwebtoken (Rust)", "version": VERSION, "detail": "aws-lc-rs"}));
    for line in std::io::stdin().lock().lines() {
        let seconds: f64 = line.unwrap_or_default().trim().parse().unwrap_or(0.0);
        let end = Instant::now() + Duration::from_secs_f64(seconds);
        let mut samples = Vec::new();
        while samples.is_empty() || Instant::now() < end {
            samples.push(pass(&corpus, want, &verify));
        }
        let passes = samples.len();
        let refused = (corpus.tokens.len() - want) * passes;
        say(json!({"passes": passes, "accepted": want * passes, "refused": refused, "samples_ns": samples}));
    }
}
