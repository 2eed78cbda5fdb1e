// What the page holds, and how one frame with all that belongs to it is fetched: the newest wish wins.

import * as api from "./api.js";

export const store = {
  view: "main",
  state: null,
  look: null,
  outlines: null,
  layers: { outlines: true, points: false, tracks: false },
  hidden: new Set(),
  selected: null,
  following: true,
  tail: 30,
  report: null,
};

export const path = (rest) => `/api/${store.view}/${rest}`;

/** Return a function that runs `work(wish)` for the newest wish only, one at a time. */
export function newestOnly(work) {
  let busy = false;
  let waiting = null;
  return async function wished(wish) {
    if (busy) {
      waiting = { wish };
      return;
    }
    busy = true;
    try {
      await work(wish);
    } finally {
      busy = false;
      if (waiting) {
        const next = waiting.wish;
        waiting = null;
        wished(next);
      }
    }
  };
}

/** Fetch a frame: what is known of it, its picture (null where it is not kept) and its outlines. */
export async function fetched(viewer, wanted) {
  const view = store.view;
  const look = await api.json(path(`frames/${wanted}?tail=${store.layers.tracks ? store.tail : 0}`));
  const side = Math.max(...viewer.size) * (window.devicePixelRatio || 1);
  const picture = api.picture(viewer.path(look.frame, null, Math.max(512, Math.min(1600, side)))).catch((error) => {
    if (error.status === 404) return null;
    throw error;
  });
  const outlines = look.outlined ? api.outlines(path(`frames/${look.frame}/outlines`)) : null;
  const found = { look, picture: await picture, outlines: await outlines };
  return view === store.view ? found : null;
}

/** Keep the same object selected in another frame: by its track, else by its number. */
export function sameObject(before, after, selected) {
  if (selected === null || !before || before.frame === after.frame) return selected;
  for (const column of ["track", "id"]) {
    const [a, b] = [before, after].map((look) => look.objects.columns.indexOf(column));
    if (a < 0 || b < 0) continue;
    const number = before.objects.values[a][selected];
    const row = after.objects.values[b].indexOf(number);
    return row < 0 ? null : row;
  }
  return null;
}
