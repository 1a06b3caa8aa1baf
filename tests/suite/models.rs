//! Finding and reading models: folders that are not models, and the hub over loopback.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;
use thematic::encode::{Encoder, Kind, Options, Precision};
use thematic::models::{DEFAULT_MODEL, Settings, TextTemplate, check, export, find, is_here, pull, resolve};
use thematic::progress::Silent;

use crate::hub::{Behaviour, COMMIT, Hub};
use crate::program::Desk;
use crate::tiny::{copy_folder, fixture, merge, offline, open};

const REPOSITORY: &str = "someone/tiny-bert";

fn refusal(folder: &Path) -> String {
    let error = resolve(folder.to_str(), &offline(), &Silent).expect_err("a folder that is not a model");
    assert_eq!(error.exit_code(), 4, "{error}");
    let hint = error.hint().expect("a way out");
    format!("{error}; hint: {hint}")
}

/// A tiny BERT after `change`, which must be refused with words that contain `expected`.
fn check_refused(change: impl FnOnce(&Path), expected: &str) {
    let folder = TempDir::new().expect("a folder");
    copy_folder(&fixture("tiny-bert"), folder.path());
    change(folder.path());
    let said = refusal(folder.path());
    assert!(said.contains(expected), "{said}");
}

#[test]
fn a_missing_file_is_named() {
    for file in ["config.json", "tokenizer.json", "model.safetensors", "1_Pooling/config.json"] {
        check_refused(|folder| fs::remove_file(folder.join(file)).expect("removed"), &format!("{file}`: is missing"));
    }
    let empty = TempDir::new().expect("a folder");
    assert!(refusal(empty.path()).contains("`: is missing"));
}

#[test]
fn a_damaged_file_is_named() {
    let cut = |file: &'static str, keep: usize| {
        move |folder: &Path| {
            let bytes = fs::read(folder.join(file)).expect("a file");
            fs::write(folder.join(file), &bytes[..keep]).expect("written");
        }
    };
    check_refused(cut("model.safetensors", 0), "model.safetensors`: is truncated");
    check_refused(cut("model.safetensors", 5), "model.safetensors`: is truncated");
    check_refused(cut("model.safetensors", 50_000), "model.safetensors`: is truncated");
    check_refused(cut("config.json", 40), "config.json`: is not JSON");
    check_refused(cut("modules.json", 40), "modules.json`: is not a JSON list");
    check_refused(
        |folder| {
            let mut bytes = fs::read(folder.join("model.safetensors")).expect("a file");
            bytes[..8].copy_from_slice(&u64::MAX.to_le_bytes());
            fs::write(folder.join("model.safetensors"), bytes).expect("written");
        },
        "is not a safetensors file",
    );
}

#[test]
fn a_field_that_is_not_understood_is_named() {
    let merged = |file: &'static str, changes: Value| move |folder: &Path| merge(folder, file, &changes);
    check_refused(merged("config.json", json!({"model_type": "t5"})), "config.json`: `model_type`: is `t5`");
    check_refused(merged("config.json", json!({"hidden_act": "mish"})), "`hidden_act`: is `mish`");
    check_refused(merged("config.json", json!({"hidden_size": "32"})), "`hidden_size`: is \"32\"");
    check_refused(merged("config.json", json!({"num_attention_heads": 5})), "`num_attention_heads`: is 5");
    let pooling = "1_Pooling/config.json";
    check_refused(merged(pooling, json!({"pooling_mode": "median"})), "`pooling_mode`: is `median`");
    check_refused(merged(pooling, json!({"pooling_mode_median_tokens": true})), "`pooling_mode_median_tokens`");
    check_refused(merged("sentence_bert_config.json", json!({"max_seq_length": 64})), "`max_seq_length`: is 64");
    let prompts = "config_sentence_transformers.json";
    check_refused(merged(prompts, json!({"default_prompt_name": "none"})), "`default_prompt_name`: is `none`");
    check_refused(merged(prompts, json!({"truncate_dim": 99})), "`truncate_dim`: is 99");
}

/// What a model says that is refused when it is opened or when it is loaded.
fn refused_anywhere(name: &str) -> String {
    let error = match resolve(Some(name), &offline(), &Silent) {
        Ok(model) => Encoder::load(&model, &Options::default()).expect_err("a model that does not load"),
        Err(error) => error,
    };
    assert!(error.hint().is_some(), "{error}");
    error.to_string()
}

#[test]
fn what_changes_the_computation_of_an_architecture_is_refused_by_its_field() {
    let table = [
        ("roberta", json!({"position_embedding_type": "relative_key"}), "`position_embedding_type`: is `relative_key`"),
        ("roberta", json!({"is_decoder": true}), "`is_decoder`: is true"),
        ("roberta", json!({"max_position_embeddings": 3}), "`max_position_embeddings`: is 3"),
        ("roberta", json!({"type_vocab_size": 2}), "`type_vocab_size` and `hidden_size`"),
        ("distilbert", json!({"n_heads": 5}), "`n_heads`: is 5, which does not divide `dim`"),
        ("distilbert", json!({"n_layers": 3}), "`dim` and `hidden_dim` and `n_layers` in `config.json` ask for it"),
        ("distilbert", json!({"n_layers": 1}), "is of layer 1, but `n_layers` in `config.json` is 1"),
        ("distilbert", json!({"activation": "mish"}), "`activation`: is `mish`"),
        ("mpnet", json!({"relative_attention_num_buckets": 16}), "`relative_attention_num_buckets`: is 16"),
        ("nomic-bert", json!({"activation_function": "relu"}), "`activation_function`: is `relu`"),
        ("nomic-bert", json!({"prenorm": true}), "`prenorm`: is true"),
        ("nomic-bert", json!({"rotary_emb_fraction": 0.0}), "`rotary_emb_fraction`: is 0"),
        ("nomic-bert", json!({"rotary_emb_interleaved": true}), "`rotary_emb_interleaved`: is true"),
        ("nomic-bert", json!({"num_experts": 8}), "`num_experts`: is 8"),
        ("nomic-bert", json!({"n_inner": 40}), "`n_embd` and `n_inner` in `config.json` make it [40, 32]"),
        ("nomic-bert", json!({"qkv_proj_bias": true}), "attn.Wqkv.bias`: is missing"),
        ("nomic-bert-5", json!({"rope_parameters": {"rope_type": "yarn"}}), "`rope_parameters`: has the type `yarn`"),
        ("modernbert", json!({"layer_types": ["full_attention"]}), "`layer_types`: has 1 entries for 4 layers"),
        ("modernbert", json!({"layer_types": ["full_attention", "a", "b", "c"]}), "`layer_types`: has \"a\""),
        ("modernbert", json!({"hidden_activation": "mish"}), "`hidden_activation`: is `mish`"),
        ("modernbert", json!({"norm_bias": true}), "norm.bias`: is missing"),
        ("jina-bert", json!({"feed_forward_type": "original"}), "`feed_forward_type`: is `original`"),
        ("gte", json!({"rope_scaling": {"type": "linear", "factor": 2.0}}), "`rope_scaling`: is {"),
        ("gte", json!({"logn_attention_scale": true}), "`logn_attention_scale`: is true"),
        ("gte", json!({"position_embedding_type": "absolute"}), "`position_embedding_type`: is `absolute`"),
        ("qwen3", json!({"use_sliding_window": true}), "`use_sliding_window`: is true"),
        ("qwen3", json!({"head_dim": 8}), "`head_dim`"),
        ("qwen3", json!({"num_key_value_heads": 3}), "`num_key_value_heads`: is 3"),
        ("qwen3", json!({"num_hidden_layers": 1}), "is of layer 1"),
    ];
    for (architecture, changes, expected) in table {
        let folder = TempDir::new().expect("a folder");
        copy_folder(&fixture(&format!("tiny-{architecture}")), folder.path());
        merge(folder.path(), "config.json", &changes);
        let said = refused_anywhere(folder.path().to_str().expect("UTF-8"));
        assert!(said.contains(expected), "{architecture}, {changes}: {said}");
    }
}

#[test]
fn a_tensor_that_no_field_accounts_for_is_named() {
    use safetensors::SafeTensors;
    let folder = TempDir::new().expect("a folder");
    copy_folder(&fixture("tiny-roberta"), folder.path());
    let whole = fs::read(folder.path().join("model.safetensors")).expect("weights");
    let mut tensors = SafeTensors::deserialize(&whole).expect("valid").tensors();
    let view = tensors[0].1.clone();
    tensors.push(("roberta.encoder.layer.0.attention.self.distance_embedding.weight".to_owned(), view));
    let bytes = safetensors::serialize(tensors, None).expect("a file");
    fs::write(folder.path().join("model.safetensors"), bytes).expect("written");
    let said = refused_anywhere(folder.path().to_str().expect("UTF-8"));
    assert!(said.contains("distance_embedding.weight`: is no part of the network"), "{said}");
}

#[test]
fn an_adapter_that_does_not_fit_is_named() {
    let base = fixture("tiny-bert");
    let check = |adapter: &str, changes: Value, expected: &str| {
        let folder = TempDir::new().expect("a folder");
        copy_folder(&fixture(adapter), folder.path());
        merge(folder.path(), "adapter_config.json", &changes);
        let said = refused_anywhere(&format!("{}+{}", base.display(), folder.path().display()));
        assert!(said.contains(expected), "{said}");
    };
    check("lora", json!({"peft_type": "IA3"}), "`peft_type`: is `IA3`");
    check("lora", json!({"use_dora": true}), "`use_dora`: is true");
    check("lora", json!({"r": 3}), "but `r` and `encoder.layer.0.attention.self.query.weight` make it [3, 32]");
    check("lora", json!({"modules_to_save": ["pooler"]}), "`modules_to_save`: is [\"pooler\"]");
    check("bottleneck", json!({"config": {"mh_adapter": true}}), "`config`: `mh_adapter`: is true");
    check("bottleneck", json!({"config": {"non_linearity": "relu"}}), "as a Python pickle");
    let alone = refusal(&fixture("lora"));
    assert!(alone.contains("is no model by itself") && alone.contains("--model tiny-bert+ADAPTER"), "{alone}");
    let said = refused_anywhere(&format!("{}+/no/such/adapter", base.display()));
    assert!(said.contains("`/no/such/adapter`"), "{said}");
}

#[test]
fn a_chain_that_is_not_understood_is_named() {
    let chain = |kinds: &[(&str, &str)]| {
        let modules: Vec<Value> = kinds.iter().map(|(path, kind)| json!({"path": path, "type": kind})).collect();
        Value::from(modules)
    };
    let transformer = ("", "sentence_transformers.models.Transformer");
    let pooling = ("1_Pooling", "sentence_transformers.models.Pooling");
    let check =
        |modules: Value, expected: &str| check_refused(|folder| merge(folder, "modules.json", &modules), expected);
    check(chain(&[]), "modules.json`: names no module");
    check(chain(&[transformer]), "must be followed by `Pooling`");
    check(chain(&[("", "custom_st.Transformer")]), "which is not a module of sentence-transformers");
    check(chain(&[transformer, pooling, ("2", "sentence_transformers.models.LSTM")]), "has a `LSTM` after the pooling");
    check(chain(&[("../elsewhere", transformer.1), pooling]), "leaves the model's folder");
    let dense = [transformer, pooling, ("2_Dense", "sentence_transformers.models.Dense")];
    check(chain(&dense), "2_Dense/config.json`: is missing");
}

#[test]
fn a_dense_module_must_fit_the_one_before() {
    let modules = json!([
        {"path": "", "type": "sentence_transformers.models.Transformer"},
        {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        {"path": "2_Dense", "type": "sentence_transformers.models.Dense"}
    ]);
    let change = |config: Value| {
        let modules = modules.clone();
        move |folder: &Path| {
            merge(folder, "modules.json", &modules);
            merge(folder, "2_Dense/config.json", &config);
            fs::copy(fixture("head").join("dense.safetensors"), folder.join("2_Dense/model.safetensors"))
                .expect("a copy");
        }
    };
    check_refused(change(json!({"in_features": 64, "out_features": 16})), "`in_features`: is 64");
    let unknown = json!({"in_features": 32, "out_features": 16, "activation_function": "os.system"});
    check_refused(change(unknown), "`activation_function`: is `os.system`");

    let folder = TempDir::new().expect("a folder");
    copy_folder(&fixture("tiny-bert"), folder.path());
    change(json!({"in_features": 32, "out_features": 17}))(folder.path());
    let error = Encoder::load(&open(folder.path()), &Options::default()).expect_err("another shape").to_string();
    assert!(error.contains("`linear.bias`: has the shape [16]"), "{error}");
}

#[test]
fn a_pickle_is_refused_with_the_reason() {
    check_refused(
        |folder| fs::rename(folder.join("model.safetensors"), folder.join("pytorch_model.bin")).expect("renamed"),
        "pytorch_model.bin`: holds the weights as a Python pickle, which can run any code",
    );
    check_refused(
        |folder| fs::rename(folder.join("tokenizer.json"), folder.join("vocab.txt")).expect("renamed"),
        "the older `vocab.txt` only",
    );
}

#[test]
fn a_collection_does_not_carry_the_trust_in_a_pickle() {
    let desk = Desk::new();
    copy_folder(&fixture("tiny-bert"), &desk.path("model"));
    fs::remove_file(desk.path("model/model.safetensors")).expect("removed");
    fs::copy(fixture("pickle/pytorch_model.bin"), desk.path("model/pytorch_model.bin")).expect("a copy");
    desk.write("in.jsonl", "{\"id\": \"a\", \"title\": \"Sea ice\", \"abstract\": \"It melts.\"}\n");
    desk.done(&["embed", "in.jsonl", "--model", "model", "--allow-pickle"]);
    for question in [&["recommend", "--text", "coral"][..], &["search", "coral", "--by", "meaning"]] {
        let refused = desk.run(question);
        assert_eq!(refused.code, 4, "{refused:?}");
        assert!(refused.err.contains("hint:") && refused.err.contains("--allow-pickle"), "{refused:?}");
        desk.done(&[question, &["--allow-pickle"]].concat());
        let allowed = desk.run_with(question, &[("THEMATIC_ALLOW_PICKLE", "true")]);
        assert_eq!(allowed.code, 0, "{allowed:?}");
    }
}

#[test]
fn shards_are_put_together() {
    use safetensors::SafeTensors;
    let folder = TempDir::new().expect("a folder");
    copy_folder(&fixture("tiny-bert"), folder.path());
    let whole = fs::read(folder.path().join("model.safetensors")).expect("weights");
    let tensors = SafeTensors::deserialize(&whole).expect("valid").tensors();
    let mut map = serde_json::Map::new();
    for (at, part) in tensors.chunks(20).enumerate() {
        let name = format!("model-{at:05}.safetensors");
        let bytes = safetensors::serialize(part.to_vec(), None).expect("a shard");
        fs::write(folder.path().join(&name), bytes).expect("written");
        part.iter().for_each(|(tensor, _)| drop(map.insert(tensor.clone(), name.clone().into())));
    }
    fs::remove_file(folder.path().join("model.safetensors")).expect("removed");
    merge(folder.path(), "model.safetensors.index.json", &json!({ "weight_map": map }));
    let vectors = |folder: &Path| {
        let encoder = Encoder::load(&open(folder), &Options::default()).expect("a model");
        encoder.encode(&["sea ice"], Kind::Document).expect("a vector").vectors
    };
    assert_eq!(vectors(folder.path()), vectors(&fixture("tiny-bert")));
}

#[test]
fn the_embedded_default_works_and_is_exported_for_other_tools() {
    let embedded = resolve(None, &offline(), &Silent).expect("the default");
    assert_eq!(embedded.name, DEFAULT_MODEL);
    assert_eq!(embedded.text, TextTemplate::Sentences);
    let known = find(DEFAULT_MODEL).expect("the manifest lists the default");
    assert_eq!(known.dimension, embedded.description.dimension);
    assert!(is_here(known, &offline()));
    let folder = TempDir::new().expect("a folder");
    let target = folder.path().join("exported");
    export(&embedded, &target).expect("written");
    assert!(export(&embedded, &target).is_err());
    let exported = open(&target);
    // What suits the machine may be 8 bits for the one and not for the other, which holds the same weights as f32.
    let options = Options { precision: Precision::F32, ..Options::default() };
    let texts = ["A theme about sea ice", "coral larvae", ""];
    let encode =
        |model| Encoder::load(model, &options).expect("loads").encode(&texts, Kind::Document).expect("vectors");
    let (one, other) = (encode(&embedded).vectors, encode(&exported).vectors);
    for (one, other) in one.rows().zip(other.rows()) {
        assert!(one.iter().zip(other).map(|(a, b)| a * b).sum::<f32>() > 0.999_99);
    }
}

/// The files of the tiny BERT, as the hub serves them.
fn files() -> BTreeMap<String, Vec<u8>> {
    let root = fixture("tiny-bert");
    let mut files = BTreeMap::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(&root).expect("below").to_str().expect("UTF-8").to_owned();
                files.insert(name, fs::read(&path).expect("a file"));
            }
        }
    }
    files
}

fn settings(hub: &Hub, cache: &TempDir) -> Settings {
    Settings { offline: false, endpoint: hub.endpoint.clone(), cache: Some(cache.path().join("hub")), ..offline() }
}

#[test]
fn a_model_comes_from_the_hub_once_and_then_from_the_cache() {
    let (hub, cache) = (Hub::serve(REPOSITORY, files(), Behaviour::default()), TempDir::new().expect("a folder"));
    let settings = settings(&hub, &cache);
    let fetched = resolve(Some(REPOSITORY), &settings, &Silent).expect("a model");
    assert_eq!((fetched.name.as_str(), fetched.revision.as_str()), (REPOSITORY, COMMIT));
    let encoder = Encoder::load(&fetched, &Options::default()).expect("a model that loads");
    assert_eq!(encoder.encode(&["sea ice"], Kind::Query).expect("a vector").vectors.dim(), 32);
    assert!(check(&fetched).expect("read").is_sound());
    let weights = check(&fetched).expect("read").files.into_iter().find(|file| file.name == "model.safetensors");
    assert_eq!(weights.and_then(|file| file.checksum), Some(true));

    let asked = hub.requests().len();
    resolve(Some(REPOSITORY), &settings, &Silent).expect("a cached model");
    let commit = Settings { revision: Some(COMMIT.into()), ..settings.clone() };
    resolve(Some(REPOSITORY), &commit, &Silent).expect("a cached commit");
    let offline = Settings { offline: true, ..settings.clone() };
    resolve(Some(REPOSITORY), &offline, &Silent).expect("a cached model");
    assert_eq!(hub.requests().len(), asked, "{:?}", &hub.requests()[asked..]);
    pull(REPOSITORY, &settings, &Silent).expect("the newest");
    assert_eq!(hub.requests().len(), asked + 1);
}

#[test]
fn what_is_not_cached_is_missing_offline() {
    let cache = TempDir::new().expect("a folder");
    let settings = Settings { cache: Some(cache.path().join("hub")), ..offline() };
    let error = resolve(Some(REPOSITORY), &settings, &Silent).expect_err("nothing cached");
    assert!(error.to_string().contains("is not in the cache"), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("--offline")));
}

#[test]
fn an_interrupted_download_is_gone_on_with() {
    let behaviour = Behaviour { interruptions: 2, ..Behaviour::default() };
    let (hub, cache) = (Hub::serve(REPOSITORY, files(), behaviour), TempDir::new().expect("a folder"));
    let model = resolve(Some(REPOSITORY), &settings(&hub, &cache), &Silent).expect("a model");
    assert!(check(&model).expect("read").is_sound());
}

#[test]
fn a_part_that_an_earlier_run_left_is_gone_on_with_or_replaced() {
    let weights = files().remove("model.safetensors").expect("weights");
    let digest = check_digest(&weights);
    for left in [weights[..1000].to_vec(), weights.clone(), vec![0; 1000], vec![0; weights.len() + 5]] {
        let (hub, cache) = (Hub::serve(REPOSITORY, files(), Behaviour::default()), TempDir::new().expect("a folder"));
        let blobs = cache.path().join("hub/models--someone--tiny-bert/blobs");
        fs::create_dir_all(&blobs).expect("a folder");
        fs::write(blobs.join(format!("{digest}.part")), &left).expect("written");
        let model = resolve(Some(REPOSITORY), &settings(&hub, &cache), &Silent).expect("a model");
        assert!(check(&model).expect("read").is_sound(), "{} bytes left", left.len());
    }
}

fn check_digest(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_hub_in_trouble_is_asked_again() {
    let behaviour = Behaviour { failures: (1, 503), ..Behaviour::default() };
    let (hub, cache) = (Hub::serve(REPOSITORY, files(), behaviour), TempDir::new().expect("a folder"));
    assert!(resolve(Some(REPOSITORY), &settings(&hub, &cache), &Silent).is_ok());
}

#[test]
fn a_wrong_checksum_is_never_accepted() {
    let behaviour = Behaviour { lies: true, ..Behaviour::default() };
    let (hub, cache) = (Hub::serve(REPOSITORY, files(), behaviour), TempDir::new().expect("a folder"));
    let error = resolve(Some(REPOSITORY), &settings(&hub, &cache), &Silent).expect_err("a lie").to_string();
    assert!(error.contains("another checksum"), "{error}");
    let snapshot = cache.path().join(format!("hub/models--someone--tiny-bert/snapshots/{COMMIT}"));
    assert!(!snapshot.join("model.safetensors").exists());
}

#[test]
fn damage_in_the_cache_is_found() {
    let (hub, cache) = (Hub::serve(REPOSITORY, files(), Behaviour::default()), TempDir::new().expect("a folder"));
    let settings = settings(&hub, &cache);
    resolve(Some(REPOSITORY), &settings, &Silent).expect("a model");
    let snapshot = cache.path().join(format!("hub/models--someone--tiny-bert/snapshots/{COMMIT}"));
    let blob = fs::canonicalize(snapshot.join("model.safetensors")).expect("a blob");
    let mut bytes = fs::read(&blob).expect("weights");
    *bytes.last_mut().expect("not empty") ^= 1;
    fs::write(&blob, bytes).expect("written");
    let model = resolve(Some(REPOSITORY), &settings, &Silent).expect("a model");
    assert!(!check(&model).expect("read").is_sound());
}

#[test]
fn a_token_is_asked_for_and_used() {
    let behaviour = || Behaviour { token: Some("secret"), ..Behaviour::default() };
    let (hub, cache) = (Hub::serve(REPOSITORY, files(), behaviour()), TempDir::new().expect("a folder"));
    let without = settings(&hub, &cache);
    let error = resolve(Some(REPOSITORY), &without, &Silent).expect_err("no token");
    assert!(error.hint().is_some_and(|hint| hint.contains("HF_TOKEN")), "{error}");
    let with = Settings { token: Some("secret".into()), ..without };
    assert!(resolve(Some(REPOSITORY), &with, &Silent).is_ok());
}

#[test]
fn what_the_hub_does_not_have_is_said() {
    let (hub, cache) = (Hub::serve(REPOSITORY, files(), Behaviour::default()), TempDir::new().expect("a folder"));
    let error = resolve(Some("someone/nothing"), &settings(&hub, &cache), &Silent).expect_err("no model");
    assert!(error.to_string().contains("has no such model"), "{error}");
    assert_eq!(error.exit_code(), 4);

    let mut incomplete = files();
    let weights = incomplete.remove("model.safetensors").expect("weights");
    incomplete.insert("pytorch_model.bin".into(), weights);
    let hub = Hub::serve(REPOSITORY, incomplete, Behaviour::default());
    let error = resolve(Some(REPOSITORY), &settings(&hub, &cache), &Silent).expect_err("a pickle").to_string();
    assert!(error.contains("pickle"), "{error}");
    assert!(!hub.requests().iter().any(|path| path.contains("/resolve/") && path.ends_with(".bin")));
}

#[test]
fn a_hub_that_is_not_there_is_said() {
    let cache = TempDir::new().expect("a folder");
    for endpoint in ["http://127.0.0.1:9", "not an address", ""] {
        let settings =
            Settings { offline: false, endpoint: endpoint.into(), cache: Some(cache.path().join("hub")), ..offline() };
        let error = resolve(Some(REPOSITORY), &settings, &Silent).expect_err("no hub");
        assert_eq!(error.exit_code(), 4);
        assert!(error.hint().is_some_and(|hint| hint.contains("HF_ENDPOINT")), "{error}");
    }
}

#[test]
fn what_is_here_already_is_not_pulled() {
    assert_eq!(pull(DEFAULT_MODEL, &offline(), &Silent).expect_err("embedded").exit_code(), 2);
}

#[test]
fn the_program_pulls_by_its_environment_and_then_needs_no_network() {
    let hub = Hub::serve(REPOSITORY, files(), Behaviour { token: Some("secret"), ..Behaviour::default() });
    let desk = Desk::new();
    desk.write("in.jsonl", "{\"id\":\"a\",\"title\":\"Deep water\"}\n");
    let run = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = desk.command(arguments);
        command.env("HF_ENDPOINT", &hub.endpoint).env("HF_HOME", desk.path("home")).envs(variables.iter().copied());
        command.output().expect("the program runs").status.code()
    };
    let embed = ["embed", "in.jsonl", "-o", "v.npy", "--model", REPOSITORY];
    assert_eq!(run(&["models", "pull", REPOSITORY], &[]), Some(4), "no token");
    assert_eq!(run(&embed, &[("HF_TOKEN", "secret"), ("HF_HUB_OFFLINE", "1")]), Some(4), "nothing is here yet");
    assert_eq!(run(&["models", "pull", REPOSITORY], &[("HF_TOKEN", "secret")]), Some(0));
    let asked = hub.requests().len();
    assert_eq!(run(&embed, &[("HF_HUB_OFFLINE", "1")]), Some(0));
    assert_eq!(run(&embed, &[]), Some(0), "what is cached is not asked for");
    assert_eq!(run(&["models", "check", REPOSITORY], &[]), Some(0));
    assert_eq!(hub.requests().len(), asked);
}
