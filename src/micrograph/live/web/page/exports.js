// What is shown as files to keep.

import { blob } from "./api.js";
import { made } from "./format.js";
import { toast } from "./panels.js";

const WAITS = { png: "Drawing the picture …", mp4: "Making the movie: this may take a minute …" };

function saved(address, name) {
  const link = made("a", { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
}

function layers(store, viewer) {
  const { points, outlines, tracks } = store.layers;
  const limits = viewer.base.limits;
  const tail = tracks ? store.tail : 0;
  return `points=${points}&outlines=${outlines}&tail=${tail}${limits ? `&low=${limits[0]}&high=${limits[1]}` : ""}`;
}

/** Save one kind of file: "png", "csv", "parquet", "mp4", or open the "report". */
export async function save(kind, store, viewer, table) {
  const root = `/api/${store.view}`;
  if (kind === "report") {
    window.open(store.report || `${root}/report`, "_blank", "noopener");
    return;
  }
  if (kind === "csv" || kind === "parquet") {
    const one = table === "objects" ? `?frame=${store.look?.frame ?? 0}` : "";
    saved(`${root}/export/${table}.${kind}${one}`, `${table}.${kind}`);
    return;
  }
  const frame = store.look?.frame;
  if (frame === undefined) return;
  const path = kind === "png" ? `frame.png?frame=${frame}&${layers(store, viewer)}` : `movie.mp4?${layers(store, viewer)}`;
  toast(WAITS[kind], "", 0);
  try {
    const address = URL.createObjectURL(await blob(`${root}/export/${path}`));
    saved(address, kind === "png" ? `frame-${frame}.png` : "movie.mp4");
    setTimeout(() => URL.revokeObjectURL(address), 60_000);
    toast("Saved.", "", 2);
  } catch (error) {
    toast(error.message, "warn");
  }
}
