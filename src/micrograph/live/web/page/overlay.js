// What was found, drawn over the frame: outlines, points by kind, tails of tracks, and the one that is selected.

import { rem } from "./format.js";

const RIM = "rgba(0,0,0,0.65)";
/** Lines are as wide as letters allow: 1 on a laptop, more on a large screen. */
const wide = () => rem() / 13.5;

const MARKERS = {
  o: (c, r) => c.arc(0, 0, r, 0, 7),
  s: (c, r) => c.rect(-0.85 * r, -0.85 * r, 1.7 * r, 1.7 * r),
  "^": (c, r) => polygon(c, r * 1.15, 3, -Math.PI / 2),
  v: (c, r) => polygon(c, r * 1.15, 3, Math.PI / 2),
  D: (c, r) => polygon(c, r * 1.1, 4, 0),
  h: (c, r) => polygon(c, r * 1.05, 6, 0),
  P: (c, r) => cross(c, r, 0),
  X: (c, r) => cross(c, r, Math.PI / 4),
};

function polygon(context, radius, corners, turn) {
  for (let k = 0; k < corners; k++) {
    const angle = turn + (2 * Math.PI * k) / corners;
    context[k ? "lineTo" : "moveTo"](radius * Math.cos(angle), radius * Math.sin(angle));
  }
  context.closePath();
}

function cross(context, radius, turn) {
  for (let k = 0; k < 4; k++) {
    const angle = turn + (Math.PI * k) / 2;
    context.moveTo(0, 0);
    context.lineTo(radius * Math.cos(angle), radius * Math.sin(angle));
  }
}

/** Draw one marker at the origin of `context`, as in legends. */
export function marker(context, kind, radius) {
  context.beginPath();
  (MARKERS[kind.marker] || MARKERS.o)(context, radius);
  context.lineWidth = 3.4 * wide();
  context.strokeStyle = RIM;
  context.stroke();
  context.lineWidth = 1.7 * wide();
  context.strokeStyle = kind.color;
  context.stroke();
}

/** Return the function that draws over the frame what `store` holds: look, outlines, layers, selected, hidden kinds. */
export function overlay(store) {
  return (context, viewer) => {
    const { look, layers } = store;
    if (!look || look.frame !== viewer.frame) return;
    const rows = rowOf(look);
    if (layers.tracks) drawTracks(context, viewer, look.tracks);
    if (layers.outlines && store.outlines) drawOutlines(context, viewer, store, rows);
    if (layers.points) drawPoints(context, viewer, store);
    if (store.selected !== null) drawSelected(context, viewer, store);
  };
}

function rowOf(look) {
  if (!look.rowOf) look.rowOf = new Map(look.points.id.map((id, row) => [id, row]));
  return look.rowOf;
}

function drawTracks(context, viewer, tracks) {
  context.lineJoin = "round";
  for (const track of tracks) {
    context.beginPath();
    track.y.forEach((y, k) => {
      const [top, left] = viewer.placeNm(y, track.x[k]);
      context[k ? "lineTo" : "moveTo"](left, top);
    });
    stroke(context, track.color, 1.8);
  }
}

function stroke(context, color, width) {
  context.lineWidth = (width + 1.8) * wide();
  context.strokeStyle = RIM;
  context.stroke();
  context.lineWidth = width * wide();
  context.strokeStyle = color;
  context.stroke();
}

function trace(context, viewer, places) {
  const [y0, x0] = viewer.placeNm(0, 0);
  const scale = viewer.factor / (viewer.pixel || 1);
  for (let k = 0; k < places.length; k += 2) {
    context[k ? "lineTo" : "moveTo"](x0 + places[k + 1] * scale, y0 + places[k] * scale);
  }
  context.closePath();
}

/** Draw outlines, those of one kind in one go; those with a doubt are dashed. */
function drawOutlines(context, viewer, store, rows) {
  const { look, outlines, hidden } = store;
  const doubted = new Set(look.points.doubted);
  const groups = new Map();
  for (const outline of outlines) {
    const row = rows.get(outline.id);
    const kind = row === undefined ? null : look.kinds[look.points.kind[row]];
    if (kind && hidden.has(kind.name)) continue;
    const key = `${kind ? kind.color : "#B8B8B8"} ${doubted.has(row) ? 1 : 0}`;
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(outline.places);
  }
  context.lineJoin = "round";
  for (const [key, curves] of groups) {
    const [color, dashed] = key.split(" ");
    context.beginPath();
    for (const curve of curves) trace(context, viewer, curve);
    context.lineWidth = 3.2 * wide();
    context.strokeStyle = RIM;
    context.stroke();
    context.setLineDash(dashed === "1" ? [5 * wide(), 4 * wide()] : []);
    context.lineWidth = 1.6 * wide();
    context.strokeStyle = color;
    context.stroke();
    context.setLineDash([]);
  }
}

/** Return the radius of points on the screen: small where they are dense. */
function radius(viewer, look) {
  const area = viewer.shape[0] * viewer.shape[1] * viewer.factor ** 2;
  const gap = Math.sqrt(area / Math.max(1, look.points.y.length));
  return Math.min(9 * wide(), Math.max(1.6, 0.22 * gap));
}

function drawPoints(context, viewer, store) {
  const { look, hidden } = store;
  const { y, x, kind } = look.points;
  const size = radius(viewer, look);
  const [height, width] = viewer.size;
  const dots = size < 2.6;
  for (let k = 0; k < y.length; k++) {
    const look_of = look.kinds[kind[k]];
    if (y[k] === null || hidden.has(look_of.name)) continue;
    const [top, left] = viewer.placeNm(y[k], x[k]);
    if (top < -10 || left < -10 || top > height + 10 || left > width + 10) continue;
    if (dots) {
      context.fillStyle = look_of.color;
      context.fillRect(left - size, top - size, 2 * size, 2 * size);
      continue;
    }
    context.translate(left, top);
    marker(context, look_of, size);
    context.translate(-left, -top);
  }
}

function drawSelected(context, viewer, store) {
  const { look, selected, outlines } = store;
  const { y, x, id } = look.points;
  if (selected >= y.length || y[selected] === null) return;
  const curve = store.layers.outlines && outlines?.find((one) => one.id === id[selected]);
  context.beginPath();
  if (curve) trace(context, viewer, curve.places);
  const [top, left] = viewer.placeNm(y[selected], x[selected]);
  if (curve) {
    context.fillStyle = "rgba(255,255,255,0.28)";
    context.fill();
    stroke(context, "#fff", 3);
    return;
  }
  context.arc(left, top, Math.max(11, radius(viewer, look) + 5) * wide(), 0, 7);
  stroke(context, "#fff", 3);
}

/** Return the row of the object at a place (nm): the outline that it lies in, else the nearest point within `reach`. */
export function objectAt(store, y, x, reach) {
  const { look, outlines, layers } = store;
  if (!look) return null;
  const rows = rowOf(look);
  if (layers.outlines && outlines) {
    const hit = outlines.filter((one) => inside(one.places, y, x)).sort((a, b) => a.places.length - b.places.length)[0];
    if (hit && rows.has(hit.id)) return rows.get(hit.id);
  }
  let best = null;
  look.points.y.forEach((at, k) => {
    const away = at === null ? Infinity : Math.hypot(at - y, look.points.x[k] - x);
    if (away < reach) [best, reach] = [k, away];
  });
  return best;
}

function inside(places, y, x) {
  let odd = false;
  for (let k = 0, j = places.length - 2; k < places.length; j = k, k += 2) {
    const [ya, xa, yb, xb] = [places[k], places[k + 1], places[j], places[j + 1]];
    if (ya > y !== yb > y && x < ((xb - xa) * (y - ya)) / (yb - ya) + xa) odd = !odd;
  }
  return odd;
}
