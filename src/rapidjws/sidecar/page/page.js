"use strict";
// The status page: takes snapshots from the stream "events" and shows them. All text goes through textContent.

const SVG = "http://www.w3.org/2000/svg";
const find = (id) => document.getElementById(id);
let latest = null;
let paused = false;

function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) element.setAttribute(name, value);
  for (const child of children) element.append(child instanceof Node ? child : String(child ?? ""));
  return element;
}

function span(seconds) {
  if (seconds === null || seconds === undefined) return "-";
  const sign = seconds < 0 ? "-" : "";
  const size = Math.abs(seconds);
  if (size < 100) return `${sign}${Math.round(size)} s`;
  if (size < 6000) return `${sign}${Math.round(size / 60)} min`;
  if (size < 172800) return `${sign}${Math.round(size / 3600)} h`;
  return `${sign}${Math.round(size / 86400)} d`;
}

const clock = (at) => new Date(at * 1000).toISOString().slice(0, 19).replace("T", " ") + " UTC";
const percent = (part, whole) => (whole ? `${((100 * part) / whole).toFixed(2)} %` : "-");
const rate = (window) => (window && window.covered_s ? (window.requests / window.covered_s).toFixed(1) : "-");
const micros = (value) => (value >= 1000 ? `${(value / 1000).toFixed(1)} ms` : `${value} \u00b5s`);

// A table whose cells keep their roles where it is laid out as cards on a narrow window.
function table(labelled, columns, rows, none) {
  if (!rows.length) return make("p", { class: "none" }, none);
  const heads = columns.map(([label, kind]) =>
    make("th", { scope: "col", role: "columnheader", class: kind || "" }, label));
  const body = rows.map((cells) => make("tr", { role: "row" }, ...cells.map((cell, at) => {
    const [label, kind] = columns[at];
    return at === 0
      ? make("th", { scope: "row", role: "rowheader" }, cell)
      : make("td", { role: "cell", class: kind || "", "data-label": label }, make("span", {}, cell));
  })));
  return make("table", { role: "table", "aria-labelledby": labelled },
    make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, ...heads)),
    make("tbody", { role: "rowgroup" }, ...body));
}

function state(text, kind) {
  return make("span", { class: kind }, text);
}

function fits(...texts) {
  const wanted = find("filter").value.trim().toLowerCase();
  return !wanted || texts.some((text) => String(text ?? "").toLowerCase().includes(wanted));
}

function showAlerts(status) {
  const text = JSON.stringify(status.alerts.map((one) => [one.name, one.severity, one.since_s, one.summary]));
  const list = find("alerts");
  if (list.dataset.shown === text) return; // a screen reader hears of changes only
  list.dataset.shown = text;
  list.replaceChildren(...(status.alerts.length ? status.alerts.map((one) =>
    make("li", { class: one.severity },
      make("strong", {}, `${one.name} (${one.severity})`),
      make("span", {}, one.summary), make("br"),
      make("span", { class: "muted" }, `since ${clock(one.since_s)}; runbook: `),
      make("code", {}, `rapidjws runbook ${one.runbook}`))) : [make("li", {}, "None.")]));
}

function showTiles(status) {
  const [minute, five] = status.windows;
  const tiles = [
    ["Ready", status.ready ? "yes" : "no"],
    ["Requests a second", rate(minute)],
    ["Verified, 5 min", percent(five.permit, five.requests)],
    ["Refused in fact, 5 min", five.refused],
    ["No verdict, 5 min", five.indeterminate],
    ["p50", micros(status.latency_us.p50)],
    ["p95", micros(status.latency_us.p95)],
    ["p99", micros(status.latency_us.p99)],
    ["Revocations", status.revocations + status.pending_revocations],
    ["Plan", status.plan.frozen ? "frozen" : `revision ${status.plan.revision}`],
  ];
  find("tiles").replaceChildren(...tiles.map(([label, value]) =>
    make("div", {}, make("dt", {}, label), make("dd", {}, value))));
}

function showChart(status) {
  const most = Math.max(1e-9, ...status.series.map((one) => one.requests));
  const width = 600 / status.series.length;
  const svg = document.createElementNS(SVG, "svg");
  const now = status.series[status.series.length - 1] || { requests: 0 };
  svg.setAttribute("viewBox", "0 0 600 90");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label",
    `Requests a second in the last 5 minutes: ${now.requests} now, at most ${most < 1e-6 ? 0 : most}`);
  status.series.forEach((one, at) => {
    let floor = 90;
    const parts = [["good", one.requests - one.deny - one.indeterminate], ["deny", one.deny],
      ["indeterminate", one.indeterminate]];
    for (const [kind, value] of parts) {
      const height = Math.max(0, (value / most) * 84);
      const bar = document.createElementNS(SVG, "rect");
      floor -= height;
      for (const [name, number] of Object.entries({ x: at * width, y: floor, width: width - 1, height })) {
        bar.setAttribute(name, number.toFixed(2));
      }
      bar.setAttribute("class", kind);
      svg.append(bar);
    }
  });
  find("chart").replaceChildren(svg);
}

function showVerdicts(status) {
  find("windows").replaceChildren(table("verdicts-title",
    [["window"], ["requests", "number"], ["a second", "number"], ["verified", "number"], ["refused verdict", "number"],
      ["no verdict", "number"], ["refused in fact", "number"]],
    status.windows.map((one) => [span(one.seconds), one.requests, rate(one),
      `${one.permit} (${percent(one.permit, one.requests)})`, one.deny, one.indeterminate, one.refused]), "None."));
  const five = status.windows[1];
  find("reasons").replaceChildren(table("reasons-title",
    [["code"], ["verdict"], ["requests", "number"], ["share", "number"]],
    five.codes.map((one) => [one.code, one.verdict, one.count, percent(one.count, five.requests)]),
    "All tokens verified."));
}

function keyText(keys) {
  return keys.map((key) => {
    const seen = key.seen_s === null ? "" : `, new for ${span(key.seen_s)}`;
    return `${key.kid === null ? "(no kid)" : key.kid} (${key.alg || "any alg"}${seen})`;
  }).join("; ") || "none";
}

function showIssuers(status) {
  const rows = status.issuers.filter((one) => fits(one.issuer, one.source, keyText(one.keys))).map((one) => {
    const bad = one.code ? state(one.code, "failing")
      : one.differs.length ? state(`workers differ: ${one.differs.join(", ")}`, "degraded")
        : one.failures ? state("fetches fail", "degraded") : state("ok", "ok");
    return [one.issuer || "(any iss)", bad, keyText(one.keys), span(one.age_s), span(one.next_refresh_s),
      span(one.stale_in_s), one.failures ? `${one.failure} (${one.failures} in a row)` : one.failure || "-"];
  });
  find("issuers").replaceChildren(table("issuers-title",
    [["issuer"], ["state"], ["keys", "text"], ["age", "number"], ["next refresh", "number"], ["stale in", "number"],
      ["last failure", "text"]], rows, "No issuer fits the filter."));
}

function showPartners(status) {
  const rows = status.partners.filter((one) => fits(one.partner, one.phase, one.why)).map((one) => [
    one.partner, one.phase, one.ready ? state("ready", "ok") : state("not ready", "degraded"), one.recent,
    one.recent_failed, one.refused_tomorrow ? state("would be refused", "failing") : "let through", one.why,
    one.most_frequent.map(([code, count]) => `${code} ${count}`).join(", ") || "-"]);
  find("partners").replaceChildren(table("partners-title",
    [["partner"], ["phase"], ["readiness"], ["last day", "number"], ["failed", "number"], ["enforced tomorrow"],
      ["why", "text"], ["most frequent", "text"]], rows, "No partner fits the filter, or none is configured."));
}

function showWorkers(status) {
  find("workers").replaceChildren(table("workers-title",
    [["worker"], ["state"], ["up for", "number"], ["restarts", "number"], ["connections", "number"],
      ["loop lag", "number"], ["last change after", "number"], ["plan", "number"], ["tables", "number"]],
    status.workers.map((one) => [`${one.index} (process ${one.pid})`,
      one.config_refused ? state("configuration refused", "failing")
        : one.behind_s > 5 ? state(`behind for ${span(one.behind_s)}`, "degraded") : state("ok", "ok"),
      span(status.at_s - one.started_s), one.restarts, one.connections, micros(Math.round(one.loop_lag_s * 1e6)),
      micros(Math.round(one.change_lag_s * 1e6)), one.plan_revision, one.tables]), "No worker reports."));
}

function showChanges(status) {
  const rows = status.changes.map((one) => [clock(one.last_s), one.event,
    [one.issuer, one.partner, one.route].filter(Boolean).join(" ") || "-", one.kid ?? "-",
    [one.detail, one.by && `by ${one.by}`].filter(Boolean).join(", ") || "-",
    one.count > 1 ? `${one.count} times since ${clock(one.at_s)}` : "once"]);
  find("changes").replaceChildren(table("changes-title",
    [["when"], ["what"], ["of whom", "text"], ["kid", "text"], ["detail", "text"], ["how often"]], rows, "Nothing changed."));
}

function show(status) {
  latest = status;
  const health = find("health");
  const words = { ok: "ok", degraded: "degraded: see the alerts", failing: "failing: see the alerts" };
  const text = words[status.health] || status.health;
  if (health.textContent !== text) health.textContent = text;
  health.className = `badge ${status.health}`;
  find("when").textContent = `as of ${clock(status.at_s)}`;
  find("foot").textContent = `rapidjws ${status.release}, answered by process ${status.answered_by}`;
  document.title = `${status.health} - rapidjws status`;
  for (const part of [showAlerts, showTiles, showChart, showVerdicts, showIssuers, showPartners, showWorkers,
    showChanges]) part(status);
}

function listen() {
  const stream = new EventSource("events");
  stream.onmessage = (message) => { if (!paused) show(JSON.parse(message.data)); };
  stream.onerror = () => {
    find("when").textContent = latest === null ? "no answer yet, trying again"
      : `connection lost, trying again; as of ${clock(latest.at_s)}`;
    if (stream.readyState === EventSource.CLOSED) setTimeout(listen, 3000);
  };
}

find("pause").addEventListener("click", () => {
  paused = !paused;
  find("pause").setAttribute("aria-pressed", String(paused));
});
find("filter").addEventListener("input", () => { if (latest !== null) show(latest); });
listen();
