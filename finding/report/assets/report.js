"use strict";
(() => {
  const data = (id) => JSON.parse(document.getElementById(id).textContent);
  const rules = data("rules"), findings = [];
  for (const s of document.querySelectorAll("script.d")) {
    for (const f of JSON.parse(s.textContent)) findings.push(f);
    s.remove();
  }
  const severities = ["critical", "high", "medium", "low", "informational"];
  const statuses = ["fail", "unknown", "muted", "pass"];
  const words = { fail: "failed", unknown: "unknown", muted: "muted", pass: "passed" };
  const pillars = ["identity", "detection", "infrastructure", "data", "response"];
  const most = 25, mostEvents = 200;

  // Text only ever enters the page as text nodes.
  const el = (tag, attrs, ...children) => {
    const e = document.createElement(tag);
    for (const [k, v] of Object.entries(attrs || {})) if (v) e.setAttribute(k, v);
    for (const c of children) if (c || c === 0) e.append(c);
    return e;
  };
  const capital = (s) => s.charAt(0).toUpperCase() + s.slice(1);
  const rank = (list, v) => { const i = list.indexOf(v); return i < 0 ? list.length : i; };
  const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

  const form = document.getElementById("filter");
  const control = (name) => form.elements.namedItem(name);
  const fill = (name, values, label) => {
    for (const v of values) control(name).append(el("option", { value: v }, label ? label(v) : v));
  };
  const present = (get, order) => [...new Set(findings.map(get).filter(Boolean))]
    .sort((a, b) => (order ? rank(order, a) - rank(order, b) : 0) || compare(a, b));
  const pillarOf = (f) => (rules[f.r].detection ? "detections" : rules[f.r].pillar || "other");
  fill("pillar", present(pillarOf, ["detections", ...pillars]), capital);
  fill("severity", present((f) => f.v, severities), capital);
  fill("status", present((f) => f.s, statuses), (s) => capital(words[s] || s));
  fill("account", present((f) => f.c));

  const haystack = (f) => {
    if (f.h === undefined) {
      const r = rules[f.r];
      f.h = [r.id, r.title, f.i, f.a, f.t, f.c, f.g, f.w, f.u, f.x, f.f, f.n, f.m && f.m.reason, ...(f.k || []), ...(f.q || []),
        ...(f.e || []).flatMap((e) => [e.p, e.v])].filter(Boolean).join("\n").toLowerCase();
    }
    return f.h;
  };

  const more = (list, items, step, render) => {
    let at = 0;
    const button = el("button", { type: "button" });
    const next = () => {
      for (const f of items.slice(at, at + step)) list.append(render(f));
      at += step;
      if (at >= items.length) button.remove();
      else button.textContent = `Show ${Math.min(step, items.length - at)} of ${items.length - at} more`;
    };
    button.addEventListener("click", next);
    next();
    return at < items.length ? [list, button] : [list];
  };

  const evidence = (f) => f.e && el("ul", { class: "evidence small" }, ...f.e.map((e) =>
    el("li", {}, el("code", {}, (e.p ? e.p + " = " : "") + e.v), e.n ? " " + e.n : "")));

  const item = (f) => el("li", {},
    el("span", { class: "name" }, f.i || f.a || f.t || "–"), " ",
    el("span", { class: "where" }, [f.c, f.g || (f.c && "global")].filter(Boolean).join(" ")), " ",
    f.s !== "fail" && el("span", { class: "badge " + f.s }, words[f.s] || f.s), " ",
    f.o && el("span", { class: "badge" }, f.o),
    f.w && el("p", {}, f.w),
    f.m && el("p", { class: "muted" }, `Muted until ${f.m.until} by ${f.m.owner}: ${f.m.reason}`),
    evidence(f),
    f.a && f.a !== f.i && el("p", { class: "small soft" }, el("code", {}, f.a)),
    f.n && el("p", { class: "small soft" }, "Tags: " + f.n),
    el("p", { class: "small soft" }, "Fingerprint ", el("code", {}, f.f)));

  const about = (r) => {
    const out = [];
    if (r.why) out.push(el("p", {}, r.why));
    const fix = r.fix || {};
    if (fix.text || fix.cli || fix.terraform) out.push(el("h3", {}, "Fix"));
    if (fix.text) out.push(el("p", {}, fix.text));
    if (fix.cli) out.push(el("p", { class: "small soft" }, "AWS CLI"), el("pre", {}, fix.cli));
    if (fix.terraform) out.push(el("p", { class: "small soft" }, "Terraform"), el("pre", {}, fix.terraform));
    if (r.frameworks) out.push(el("p", { class: "small soft" }, r.frameworks.join(" · ")));
    return out;
  };

  const card = (r, list) => {
    const counts = statuses.map((s) => [list.filter((f) => f.s === s).length, words[s]]).filter((c) => c[0]).map((c) => c.join(" ")).join(" · ");
    const first = list[0];
    const worst = list.reduce((w, f) => (rank(severities, f.v) < rank(severities, w) ? f.v : w), first.v);
    const badge = first.s === "fail" ? worst : first.s;
    const body = el("div", {});
    const d = el("details", {}, el("summary", {},
      el("span", { class: "badge " + badge }, first.s === "fail" ? "✗ " + badge : words[badge] || badge),
      el("span", { class: "title" }, r.title || r.id), el("span", { class: "small soft" }, counts)), body);
    d.addEventListener("toggle", () => {
      if (!d.open || body.childNodes.length) return;
      body.append(el("p", { class: "small soft" }, el("code", {}, r.id)), ...about(r), ...more(el("ul", { class: "items" }), list, most, item));
    });
    return d;
  };

  const happened = (f) => el("li", { class: f.s === "fail" ? f.v : f.s }, el("div", {},
    el("time", { class: "small soft", datetime: f.d }, f.d ? f.d.slice(11, 19) + " UTC" : "no time"), " ",
    el("span", { class: "badge " + (f.s === "fail" ? f.v : f.s) }, f.s === "fail" ? f.v : words[f.s] || f.s), " ",
    el("span", { class: "name" }, rules[f.r].title || rules[f.r].id),
    f.u && el("p", {}, "by ", el("code", {}, f.u)),
    (f.i || f.a) && el("p", {}, "on ", el("code", {}, f.i || f.a), " ", el("span", { class: "where" }, [f.c, f.g].filter(Boolean).join(" "))),
    f.w && el("p", {}, f.w),
    f.m && el("p", { class: "muted" }, `Muted until ${f.m.until} by ${f.m.owner}: ${f.m.reason}`),
    el("p", { class: "small soft" }, [el("code", {}, rules[f.r].id), f.k && " · " + f.k.join(" "), f.q && ` · ${f.q.length} ${f.q.length === 1 ? "event" : "events"}`].filter(Boolean).reduce((p, c) => { p.append(c); return p; }, el("span", {}))),
    el("details", { class: "small" }, el("summary", {}, "Evidence and what to do"), el("div", {},
      evidence(f), f.q && el("p", { class: "soft" }, "Events ", el("code", {}, f.q.join(" "))), ...about(rules[f.r]),
      el("p", { class: "soft" }, "Fingerprint ", el("code", {}, f.f))))));

  const timeline = (list) => {
    list.sort((a, b) => compare(a.d || "", b.d || "") || rank(severities, a.v) - rank(severities, b.v) || compare(rules[a.r].id, rules[b.r].id) || compare(a.f, b.f));
    let day = "";
    const withDays = (f) => {
      const part = document.createDocumentFragment(), d = (f.d || "").slice(0, 10);
      if (d !== day) { day = d; part.append(el("li", { class: "day" }, d || "Without a time")); }
      part.append(happened(f));
      return part;
    };
    return more(el("ol", { class: "timeline" }), list, mostEvents, withDays);
  };

  const out = document.getElementById("findings");
  const show = () => {
    const want = Object.fromEntries(["pillar", "severity", "status", "account"].map((n) => [n, control(n).value]));
    const terms = control("text").value.toLowerCase().split(/\s+/).filter(Boolean);
    const shown = findings.filter((f) =>
      (!want.pillar || pillarOf(f) === want.pillar) && (!want.severity || f.v === want.severity) &&
      (!want.status || f.s === want.status) && (!want.account || f.c === want.account) &&
      terms.every((t) => haystack(f).includes(t)));
    document.getElementById("count").textContent = `${shown.length} of ${findings.length} findings shown`;
    const sections = new Map();
    for (const f of shown) {
      const p = pillarOf(f);
      if (!sections.has(p)) sections.set(p, []);
      sections.get(p).push(f);
    }
    out.replaceChildren();
    const order = ["detections", ...pillars];
    for (const p of [...sections.keys()].sort((a, b) => rank(order, a) - rank(order, b) || compare(a, b))) {
      const list = sections.get(p);
      out.append(el("h2", {}, capital(p), el("span", { class: "small soft" }, String(list.length))));
      if (p === "detections") { out.append(...timeline(list)); continue; }
      const groups = new Map();
      for (const f of list) {
        if (!groups.has(f.r)) groups.set(f.r, []);
        groups.get(f.r).push(f);
      }
      for (const g of groups.values()) {
        g.sort((a, b) => rank(statuses, a.s) - rank(statuses, b.s) || rank(severities, a.v) - rank(severities, b.v) ||
          compare(a.c || "", b.c || "") || compare(a.g || "", b.g || "") || compare(a.i || "", b.i || ""));
      }
      out.append(...[...groups.entries()].sort(([a, x], [b, y]) => rank(statuses, x[0].s) - rank(statuses, y[0].s) ||
        rank(severities, x[0].v) - rank(severities, y[0].v) || compare(rules[a].id, rules[b].id)).map(([r, g]) => card(rules[r], g)));
    }
    const cards = out.querySelectorAll(":scope > details");
    if (cards.length === 1) cards[0].open = true;
    if (!shown.length) out.append(el("p", {}, findings.length ? "Nothing matches the filter." : "No findings to show."));
  };

  // The filter is kept in the address, so that a view can be shared.
  const names = ["pillar", "severity", "status", "account", "text"];
  const saved = new URLSearchParams(location.hash.slice(1));
  for (const n of names) if (saved.has(n)) control(n).value = saved.get(n);
  let timer = 0;
  const changed = () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      const p = new URLSearchParams(names.map((n) => [n, control(n).value]).filter((v) => v[1]));
      try { history.replaceState(null, "", "#" + p); } catch (e) { /* some viewers forbid it; the filter works without */ }
      show();
    }, 120);
  };
  form.addEventListener("input", changed);
  form.addEventListener("submit", (e) => e.preventDefault());
  form.hidden = false;
  show();
})();
