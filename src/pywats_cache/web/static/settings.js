// The settings of the service: shown with the token only, and sent where they were altered. Asks nothing by itself.
"use strict";

const Settings = (() => {
  const part = id => document.getElementById(id);
  const NAMES = ["enable_cache", "cache_ttl_seconds", "cache_max_size", "cache_storage_url", "cache_offline"];
  let offered = false, version = null;
  let saved = {};   // what each field showed when it was filled

  const token = () => part("token").value.trim();
  const held = name => part(name).type === "checkbox" ? part(name).checked : part(name).value.trim();
  const say = text => { part("settings-result").textContent = text; };

  function point(field) {
    for (const name of ["token", ...NAMES]) part(name).removeAttribute("aria-invalid");
    if (!field || !part(field)) return;
    part(field).setAttribute("aria-invalid", "true");
    part(field).focus();
  }

  function fill(found) {
    version = found.version;
    for (const field of found.fields) {
      const input = part(field.name);
      if (input.type === "checkbox") input.checked = field.value === true;
      else input.value = field.value === null ? "" : String(field.value);
      input.placeholder = field.hidden ? `${field.shown}, with what is not shown` : "";
      part(`${field.name}-what`).textContent =
        `${field.what} Allowed: ${field.allowed}.` + (field.hidden ? " Left empty, it stays; memory:// keeps answers in memory only." : "");
      saved[field.name] = held(field.name);
    }
    part("settings-file").textContent = `${found.notes.join(" ")} File: ${found.file}`;
    part("settings").hidden = false;
    part("settings-note").hidden = true;
  }

  async function ask(changes) {
    const options = { cache: "no-store", headers: { Authorization: `Bearer ${token()}` } };
    if (changes) {
      options.method = "POST";
      options.headers["Content-Type"] = "application/json";
      options.body = JSON.stringify({ changes, version });
    }
    const answer = await fetch("cache/settings", options);
    return [answer.ok, await answer.json()];
  }

  async function load() {
    if (!offered) return;
    if (!token()) {
      part("settings").hidden = true;
      part("settings-note").hidden = false;
      return;
    }
    try {
      const [good, found] = await ask();
      if (good) { fill(found); point(null); say(""); }
      else { say(found.error); if (found.field === "token") { part("settings").hidden = true; part("settings-note").hidden = false; } }
    } catch (error) {
      say(`The service does not answer (${error.message}).`);
    }
  }

  async function save() {
    if (!token()) { say("Enter the token first."); point("token"); return; }
    const changes = {};
    for (const name of NAMES) if (held(name) !== saved[name]) changes[name] = held(name);
    if (!Object.keys(changes).length) { point(null); say("Nothing was changed."); return; }
    say("…");
    part("save").disabled = true;
    try {
      const [good, found] = await ask(changes);
      if (good) { fill(found); point(null); say(found.text); }
      else { say(`Not saved. ${found.error}`); point(found.field); }
    } catch (error) {
      say(`The service does not answer (${error.message}). Look whether it was saved.`);
    } finally {
      part("save").disabled = false;
    }
  }

  part("settings").addEventListener("submit", event => { event.preventDefault(); save(); });
  part("undo").addEventListener("click", load);
  part("enter-token").addEventListener("click", () => point("token"));

  return {
    load,
    // Whether this service has settings; asked for once they are offered.
    offer(has) {
      if (has === offered) return;
      offered = has;
      part("settings-part").hidden = !has;
      load();
    },
  };
})();
