// The page: puts its parts together and keeps them in step.

import * as api from "./api.js";
import { isDark } from "./colors.js";
import { Curves } from "./curves.js";
import { save } from "./exports.js";
import { listen, listKeys } from "./keys.js";
import { startLab } from "./lab.js";
import { Levels } from "./levels.js";
import { objectAt, overlay } from "./overlay.js";
import * as panels from "./panels.js";
import { fetched, newestOnly, path, sameObject, store } from "./store.js";
import { Tabs } from "./tabs.js";
import { Timeline } from "./timeline.js";
import { Viewer } from "./viewer.js";

const $ = (id) => document.getElementById(id);
const PLAY_MS = 120;

history.replaceState(null, "", "/"); // the token stays in no list of pages
const viewer = new Viewer($("stage"), overlay(store), (y, x, reach) => select(objectAt(store, y, x, reach)));
const levels = new Levels(document.querySelector(".levels"), (limits) => {
  viewer.limits = limits;
  reload();
});
const curves = new Curves($("charts"), $("choices"), $("band"), (frame) => go(frame));
const timeline = new Timeline($("timeline"), (frame) => go(frame));
const tabs = new Tabs($("tabs"), $("table"), $("rows"), select, (frame) => go(frame));
let playing = null;
let wished = null;
let connected = false;

const load = newestOnly(async (wanted) => {
  try {
    const found = await fetched(viewer, wanted);
    if (found) shown(found);
  } catch (error) {
    panels.toast(error.message, "warn");
  }
});

/** Show a frame that was fetched. */
function shown({ look, picture, outlines }) {
  store.selected = sameObject(store.look, look, store.selected);
  store.look = look;
  store.outlines = outlines;
  wished = null;
  $("stage").dataset.frame = look.frame;
  viewer.pixel = store.state?.pixel_nm ?? null;
  viewer.shape = store.state?.shape ?? viewer.shape;
  viewer.show(look.frame, picture);
  levels.root.hidden = !picture;
  if (picture) levels.show(picture);
  const empty = picture ? "" : store.state?.running ? "The image of this frame is no longer kept." : "The image is not there: results are shown without it.";
  $("empty").hidden = !empty;
  $("empty").textContent = empty;
  panels.doubt($("doubt"), $("stage"), look);
  panels.legend($("legend"), look, store.hidden, toggleKind);
  tabs.look(look, store.selected);
  curves.at(look.frame);
  atMoment();
}

function atMoment() {
  const { state, look } = store;
  timeline.show(state?.frames ?? null, wished ?? look?.frame ?? null, look?.known.t_s);
  $("moment").textContent = panels.moment(look);
  $("live").setAttribute("aria-pressed", String(store.following));
  $("live").hidden = !state?.running;
}

function reload() {
  if (store.look) load(store.look.frame);
}

/** Show a frame and follow no more, but where it is the newest. */
function go(frame) {
  if (!store.state?.frames) return;
  const [first, last] = store.state.frames;
  wished = Math.min(last, Math.max(first, frame));
  store.following = store.state.running && wished === last;
  atMoment();
  load(wished);
}

function step(by) {
  const { look, state } = store;
  if (!look || !state?.frames) return;
  const next = by === 1 ? look.after : by === -1 ? look.before : look.frame + by;
  if (wished === null && next === null) return;
  go(wished === null ? next : wished + by);
}

function follow() {
  if (!store.state?.frames) return;
  store.following = true;
  wished = null;
  load(store.state.frames[1]);
  atMoment();
}

function play() {
  const on = playing === null;
  $("play").setAttribute("aria-pressed", String(on));
  if (!on) {
    clearInterval(playing);
    playing = null;
    return;
  }
  if (store.look && store.look.after === null && store.state?.frames) go(store.state.frames[0]);
  playing = setInterval(() => {
    if (wished !== null) return; // the frame before is not there yet
    if (store.look?.after === null || !store.look) play();
    else step(1);
  }, PLAY_MS);
}

function select(row) {
  store.selected = row;
  tabs.select(row);
  const points = store.look?.points;
  if (row !== null && points && row < points.y.length && points.y[row] !== null) viewer.reveal(points.y[row], points.x[row]);
  viewer.draw();
}

function toggleKind(name) {
  store.hidden[store.hidden.has(name) ? "delete" : "add"](name);
  panels.legend($("legend"), store.look, store.hidden, toggleKind);
  viewer.draw();
}

function toggleLayer(name) {
  store.layers[name] = !store.layers[name];
  document.querySelector(`[data-layer=${name}]`).setAttribute("aria-pressed", String(store.layers[name]));
  if (name === "tracks" && store.layers.tracks) reload();
  else viewer.draw();
}

function paint(scale) {
  $("colormap").value = scale;
  levels.scale = scale;
  levels.draw();
  viewer.recolor(scale);
}

let lastCurves = 0;
let curvesTimer = null;
/** Fetch the curves, at most once in two seconds. */
function refreshCurves() {
  if (curvesTimer) return;
  curvesTimer = setTimeout(async () => {
    curvesTimer = null;
    lastCurves = Date.now();
    try {
      const data = await api.json(path("curves"));
      curves.show(data, store.state?.recipe);
      timeline.marks(data.flagged, data.fired);
      tabs.refresh();
    } catch (error) {
      panels.toast(error.message, "warn");
    }
  }, Math.max(0, 2000 - (Date.now() - lastCurves)));
}

async function heard(state) {
  const before = store.state;
  store.state = state;
  document.title = `${state.title || state.recipe} · micrograph`;
  $("title").textContent = state.title || state.recipe;
  $("source").textContent = state.source;
  panels.counters($("counters"), state);
  panels.status($("status"), state, connected);
  tabs.state(state, store.view);
  document.querySelector("[data-layer=tracks]").hidden = !state.tables.includes("tracks");
  const outlined = state.tables.includes("outlines");
  document.querySelector("[data-layer=outlines]").hidden = !outlined;
  if (!before && outlined === store.layers.points) toggleLayer("points"); // points where there are no outlines
  $("report").hidden = !(state.report || store.report);
  $("pause").hidden = state.paused === null || state.paused === undefined;
  $("pause").textContent = state.paused ? "Go on" : "Pause";
  const newest = state.frames?.[1] ?? null;
  if (newest === null) {
    $("empty").hidden = false;
    $("empty").textContent = "Waiting for the first frame …";
  }
  if (newest !== (before?.frames?.[1] ?? null) || before?.running !== state.running) refreshCurves();
  if (newest !== null && (!store.look || (store.following && newest !== store.look.frame))) await load(store.following || !store.look ? newest : store.look.frame);
  else atMoment();
}

let stop = null;
/** Show another analysis. */
function open(view, report = null) {
  if (stop) stop();
  Object.assign(store, { view, state: null, look: null, outlines: null, selected: null, following: true, report });
  store.hidden.clear();
  viewer.view = view;
  viewer.zoomFit();
  levels.auto();
  stop = api.follow(view, heard, (now) => {
    connected = now;
    panels.status($("status"), store.state, now);
    if (!now && store.state?.running) panels.toast("The connection to micrograph is lost: trying again.", "warn");
  });
}

function setTheme(dark) {
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  localStorage.setItem("micrograph-theme", document.documentElement.dataset.theme);
  redraw();
}

function redraw() {
  for (const part of [viewer, curves, timeline, levels]) part.draw();
}

const does = {
  step, play, newest: follow, select,
  first: () => store.state?.frames && go(store.state.frames[0]),
  zoom: (times) => viewer.zoomBy(times),
  fit: () => viewer.zoomFit(),
  pan: (down, right) => viewer.pan(down, right),
  layer: toggleLayer,
  contrast: () => levels.auto(),
  colormap: () => paint({ gray: "inverted", inverted: "viridis", viridis: "gray" }[viewer.scale]),
  object: (by) => {
    const number = store.look?.points.y.length ?? 0;
    if (number) select(((store.selected ?? (by > 0 ? -1 : 0)) + by + number) % number);
  },
  none: () => {
    for (const menu of document.querySelectorAll("details[open]")) menu.open = false;
    select(null);
  },
  exports: () => {
    $("export").open = !$("export").open;
    if ($("export").open) $("export").querySelector("button").focus();
  },
  theme: () => setTheme(!isDark()),
  help: () => $("keys").showModal(),
};

function wire() {
  viewer.changed = () => ($("zoom").textContent = viewer.shape ? `${Math.round(100 * viewer.factor)} %` : "");
  for (const button of document.querySelectorAll("[data-layer]")) button.addEventListener("click", () => toggleLayer(button.dataset.layer));
  for (const button of document.querySelectorAll("[data-step]")) button.addEventListener("click", () => step(Number(button.dataset.step)));
  const zooms = { in: () => viewer.zoomBy(1.4), out: () => viewer.zoomBy(1 / 1.4), fit: () => viewer.zoomFit() };
  for (const button of document.querySelectorAll("[data-zoom]")) button.addEventListener("click", zooms[button.dataset.zoom]);
  for (const button of document.querySelectorAll("[data-export]")) {
    button.addEventListener("click", () => {
      $("export").open = false;
      save(button.dataset.export, store, viewer, tabs.table);
    });
  }
  $("colormap").addEventListener("change", (event) => paint(event.target.value));
  $("live").addEventListener("click", follow);
  $("pause").addEventListener("click", () =>
    api.post(path("pause"), { paused: !store.state.paused }).catch((error) => panels.toast(error.message, "warn")));
  $("play").addEventListener("click", play);
  $("theme").addEventListener("click", does.theme);
  $("help").addEventListener("click", does.help);
  document.addEventListener("click", (event) => {
    for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  listKeys($("keylist"));
  listen(does);
}

const theme = localStorage.getItem("micrograph-theme");
if (theme) document.documentElement.dataset.theme = theme;
wire();
window.micrograph = { store, viewer }; // for a look from the browser's console
startLab($("lab"), $("open-lab"), open);
