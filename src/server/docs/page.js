"use strict";
(async () => {
  const find = (id) => document.getElementById(id);
  const base = location.pathname.replace(/docs\/?$/, "");

  // An element with attributes, listeners (functions) and children. Text is always text, never markup.
  function el(name, attributes, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) {
      if (typeof value === "function") made.addEventListener(key, value);
      else if (value === true) made.setAttribute(key, "");
      else if (value !== undefined && value !== false && value !== null) made.setAttribute(key, value);
    }
    made.append(...children.flat().filter((child) => child !== undefined && child !== null && child !== ""));
    return made;
  }

  // Text in which `words` stand for code.
  const prose = (text) => (text || "").split("`").map((part, i) => (i % 2 ? el("code", {}, part) : part));

  let api;
  try {
    const response = await fetch(base + "openapi.json");
    if (!response.ok) throw new Error("status " + response.status);
    api = await response.json();
  } catch (error) {
    find("about").textContent = "The description can't be read: " + error.message;
    return;
  }
  find("version").textContent = api.info.version;
  find("about").replaceChildren(...prose(api.info.description));

  function resolve(thing) {
    while (thing && thing.$ref) thing = thing.$ref.slice(2).split("/").reduce((at, key) => at[key], api);
    return thing || {};
  }

  const nameOf = (schema) => (schema && schema.$ref ? schema.$ref.split("/").pop() : "");

  // What kind of value a schema takes, in a few words, but for null: it goes without saying that it stands for what is absent.
  function kind(schema) {
    if (!schema || schema === true) return "anything";
    if (schema.$ref) return nameOf(schema);
    if ("const" in schema) return JSON.stringify(schema.const);
    if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
    const any = schema.anyOf || schema.oneOf;
    if (any && !schema.type) return any.filter((one) => one.type !== "null").map(kind).join(" | ");
    if (schema.allOf) return schema.allOf.map(kind)[0];
    const types = [].concat(schema.type || "anything").filter((type) => type !== "null");
    const type = types.join(" | ").replace("array", () => "list of " + kind(schema.items));
    return schema.format ? type + " (" + schema.format + ")" : type;
  }

  const isNullable = (schema) => [].concat(schema.type || [], (schema.anyOf || []).map((one) => one.type)).includes("null");

  function limits(schema) {
    const said = [];
    if (schema.minimum !== undefined && schema.minimum !== 0) said.push("at least " + schema.minimum);
    if (schema.maximum < 1e12) said.push("at most " + schema.maximum);
    if (schema.minItems) said.push("at least " + schema.minItems);
    if (schema.default !== undefined && schema.default !== null) said.push("default " + JSON.stringify(schema.default));
    return said.length ? " (" + said.join(", ") + ")" : "";
  }

  // The parts of a schema that have members of their own.
  function inner(schema) {
    if (!schema || typeof schema !== "object") return [];
    if (schema.$ref) {
      const target = resolve(schema);
      return target.properties || target.anyOf || target.oneOf || target.description ? [schema] : [];
    }
    if (schema.properties) return [schema];
    const parts = [].concat(schema.items || [], schema.anyOf || [], schema.oneOf || [], schema.allOf || []);
    return parts.flatMap(inner);
  }

  // Opened when it is asked for: types may contain themselves.
  function more(schema) {
    const box = el("details", {}, el("summary", {}, nameOf(schema) || "members"));
    box.addEventListener("toggle", () => { if (box.open && box.children.length === 1) box.append(shown(schema)); });
    return box;
  }

  function shown(schema) {
    const whole = resolve(schema);
    const box = el("div", {}, whole.description ? el("p", { class: "faint" }, prose(whole.description)) : "");
    const choices = whole.oneOf || (whole.properties ? [] : whole.anyOf) || [];
    if (choices.length && choices.every((choice) => "const" in choice || choice.enum)) {
      const rows = choices.map((choice) => el("tr", {}, el("td", {}, kind(choice)), el("td", {}, prose(choice.description))));
      box.append(el("table", {}, rows));
    } else if (choices.length) {
      box.append(el("p", {}, "One of:"), ...choices.map((choice) => (choice.$ref ? more(choice) : shown(choice))));
    } else if (!whole.properties) {
      box.append(el("p", { class: "mono" }, kind(whole)));
    }
    const must = new Set(whole.required || []);
    const rows = Object.entries(whole.properties || {}).map(([name, member]) =>
      el("tr", {},
        el("td", { class: must.has(name) ? "must" : undefined }, name),
        el("td", { class: "mono faint" }, kind(member) + (must.has(name) && isNullable(member) ? " | null" : "")),
        el("td", {}, prose(member.description), limits(member), inner(member).map(more))));
    if (rows.length) box.append(el("table", {}, rows));
    return box;
  }

  function field(parameter, id) {
    const given = parameter.schema || Object.values(parameter.content)[0].schema;
    const schema = resolve(given);
    const words = (schema.oneOf || []).map((one) => one.const).filter((word) => word !== undefined);
    const choices = schema.enum || (words.length ? words : schema.type === "boolean" ? [true, false] : undefined);
    const known = { id, "data-name": parameter.name, "data-in": parameter.in, required: parameter.required };
    const input = choices
      ? el("select", known, el("option", { value: "" }, ""), choices.map((choice) => el("option", {}, String(choice))))
      : el("input", { ...known, spellcheck: "false", placeholder: kind(given) + limits(given) });
    return [
      el("label", { for: id, class: parameter.required ? "must mono" : "mono" }, parameter.name), input,
      el("span", { class: "says" }, prose(parameter.description)),
    ];
  }

  const quoted = (text) => "'" + text.replaceAll("'", "'\\''") + "'";

  // One card: what an operation is, and a form to call it with.
  function card(method, path, operation) {
    const id = operation.operationId;
    const parameters = (operation.parameters || []).map(resolve);
    const content = operation.requestBody && Object.values(operation.requestBody.content)[0];
    const success = resolve(operation.responses["200"] || {});
    const media = Object.keys(success.content || {})[0];
    const body = content && el("textarea", { id: id + "-body", spellcheck: "false", "aria-label": "Body" });
    if (body) body.value = JSON.stringify(content.example ?? {}, null, 2);
    const fields = parameters.flatMap((parameter, i) => field(parameter, id + "-" + i));
    const answer = el("div", { role: "status", "aria-live": "polite" });
    const send = el("button", { class: "send", type: "submit" }, "Send");
    const stop = el("button", { type: "button", hidden: true }, "Stop");
    const form = el("form", {},
      fields.length ? [el("h3", {}, "Parameters"), el("div", { class: "fields" }, fields)] : "",
      body ? [el("h3", {}, "Body"), body, more(content.schema)] : "",
      el("div", { class: "row" }, send, stop), answer);

    function request() {
      const headers = {};
      let url = path;
      const query = new URLSearchParams();
      for (const input of form.querySelectorAll("[data-name]")) {
        if (input.value === "") continue;
        const name = input.dataset.name;
        if (input.dataset.in === "path") url = url.replace("{" + name + "}", encodeURIComponent(input.value));
        else if (input.dataset.in === "query") query.set(name, input.value);
        else headers[name] = input.value;
      }
      if (query.size) url += "?" + query;
      const token = find("token").value.trim();
      const isOpen = (operation.security || []).length === 0;
      if (token && !isOpen) headers.Authorization = "Bearer " + token;
      const text = body && body.value.trim();
      if (text) headers["Content-Type"] = "application/json";
      return { url: base + url.slice(1), headers, text: text || undefined };
    }

    function curl({ url, headers, text }) {
      const words = ["curl", "-X", method, quoted(location.origin + url)];
      for (const [name, value] of Object.entries(headers)) {
        words.push("-H", name === "Authorization" ? '"Authorization: Bearer $TOKEN"' : quoted(name + ": " + value));
      }
      if (text) words.push("-d", quoted(text));
      return words.join(" ");
    }

    async function call(event) {
      event.preventDefault();
      const asked = request();
      const cancel = new AbortController();
      const line = el("p", {}, el("span", { class: "faint" }, "Waiting…"));
      const output = el("pre", { tabindex: "0", "aria-label": "Answer" });
      const command = el("details", {}, el("summary", {}, "As a command"), el("pre", {}, curl(asked)));
      answer.replaceChildren(el("h3", {}, "Answer"), line, output, command);
      output.hidden = true;
      stop.hidden = false;
      stop.onclick = () => cancel.abort();
      send.disabled = true;
      const started = performance.now();
      try {
        const response = await fetch(asked.url, {
          method, headers: asked.headers, body: asked.text, signal: cancel.signal, credentials: "omit", cache: "no-store",
        });
        const took = Math.round(performance.now() - started) + " ms";
        line.replaceChildren(
          el("span", { class: "status " + (response.ok ? "good" : "bad") }, response.status + " " + response.statusText),
          el("span", { class: "faint" }, "  " + took));
        const headers = [...response.headers].map(([name, value]) => name + ": " + value).join("\n");
        command.before(el("details", {}, el("summary", {}, "Headers"), el("pre", {}, headers)));
        output.hidden = false;
        const text = await read(response, output);
        if ((response.headers.get("content-type") || "").includes("json")) {
          try { tell(JSON.parse(text), output); } catch { output.textContent = text; }
        }
      } catch (error) {
        const why = error.name === "AbortError" ? "Stopped." : "No answer: " + error.message;
        line.append(el("span", { class: "bad" }, "  " + why));
      } finally {
        stop.hidden = true;
        send.disabled = false;
      }
    }

    // As it comes: some answers go on.
    async function read(response, output) {
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return text;
        text += value;
        output.textContent = text.length > 200000 ? "…" + text.slice(-200000) : text;
      }
    }

    function tell(value, output) {
      output.textContent = JSON.stringify(value, null, 2);
      const session = value && value.data && (value.data.session || value.data);
      if (session && session.token && session.refresh_token) {
        find("token").value = session.token;
        find("token-note").textContent = "set by " + id;
      }
    }

    form.addEventListener("submit", call);
    form.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); form.requestSubmit(); }
    });

    const responses = Object.entries(operation.responses).map(([status, response]) => {
      const whole = resolve(response);
      const schema = whole.content && Object.values(whole.content)[0].schema;
      const item = whole.content ? Object.values(whole.content)[0]["x-data"] : (whole["x-messages"] || {}).daemon;
      return el("tr", {}, el("td", { class: status < 300 ? "good" : "bad" }, status),
        el("td", {}, prose(whole.description), status < 300 && schema ? more(schema) : "", item ? more(item) : ""));
    });
    const isOpen = (operation.security || []).length === 0;
    const box = el("details", { class: "card", id },
      el("summary", {},
        el("span", { class: "method " + method }, method), el("span", { class: "path" }, path),
        el("span", { class: "what" }, operation.summary), isOpen ? el("span", { class: "open-to-all" }, "no token") : ""));
    const fill = () => {
      if (!box.open || box.children.length > 1) return;
      box.append(el("div", { class: "inside" },
        el("p", {}, prose(operation.description)), form,
        el("h3", {}, "Answers" + (media && media !== "application/json" ? " (" + media + ")" : "")), el("table", {}, responses)));
    };
    box.addEventListener("toggle", fill);
    return box;
  }

  const cards = [];
  for (const tag of api.tags) {
    const list = el("ul");
    const section = el("section", {}, el("h2", {}, tag.name));
    for (const [path, methods] of Object.entries(api.paths)) {
      for (const [method, operation] of Object.entries(methods)) {
        if (!operation.tags.includes(tag.name)) continue;
        const box = card(method.toUpperCase(), path, operation);
        const link = el("li", {}, el("a", { href: "#" + operation.operationId, title: operation.summary }, operation.summary));
        const text = [operation.operationId, path, operation.summary, tag.name].join(" ").toLowerCase();
        cards.push({ box, link, text, section });
        section.append(box);
        list.append(link);
      }
    }
    find("operations").append(section);
    find("index").append(el("div", {}, el("h2", {}, tag.name), list));
  }

  find("filter").addEventListener("input", (event) => {
    const words = event.target.value.toLowerCase().split(/\s+/);
    for (const { box, link, text } of cards) box.hidden = link.hidden = !words.every((word) => text.includes(word));
    for (const group of document.querySelectorAll("section, #index > div")) {
      group.hidden = ![...group.querySelectorAll(".card, li")].some((one) => !one.hidden);
    }
  });
  document.addEventListener("keydown", (event) => {
    const isWriting = event.target.matches("input, textarea, select");
    if (event.key === "/" && !isWriting) { event.preventDefault(); find("filter").focus(); }
  });
  find("who").addEventListener("submit", (event) => event.preventDefault());
  find("token").addEventListener("input", () => { find("token-note").textContent = ""; });

  function follow() {
    const box = cards.map((one) => one.box).find((one) => one.id === decodeURIComponent(location.hash.slice(1)));
    if (!box) return;
    box.open = true;
    box.querySelector("summary").focus({ preventScroll: true });
    box.scrollIntoView();
  }
  addEventListener("hashchange", follow);
  follow();
})();
