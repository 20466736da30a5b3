// An entry of the log, in words.

export const KIND_WORDS = {
  record: "record",
  marker: "end of a transaction",
  aborted: "aborted record",
  undecided: "undecided record",
  compacted: "compacted away",
};

export const placeOf = (e) => `${e.topic}/${e.partition}/${e.offset}`;

export const tapeAddress = ({ topic, partition, offset }) =>
  `/lens?${new URLSearchParams({ topic, partition, offset })}`;

export const storyAddress = (key) => `/lens/key/${encodeURIComponent(key)}`;

/** What one would say of it at a glance. */
export function gist(e) {
  if (e.kind === "marker") return e.marker;
  if (e.kind === "compacted") return "compacted";
  if (e.tombstone) return "deleted";
  if (e.error !== undefined) return "not decodable";
  if (e.large) return "large";
  const v = e.value ?? {};
  const check = v.check === undefined ? undefined : `${v.check.replace("_CHECK", "").replace("_", " ").toLowerCase()} ${v.result}`;
  const text = check ?? v.state ?? v.result ?? v.status ?? v.title ?? v.action ?? v.level ?? v.name ?? v.averageRating ?? v.ratingTenths ?? "";
  return String(text);
}

export const keyText = (e) => (e.keyHex !== undefined ? `0x${e.keyHex}` : e.key ?? "");

/** The causes that its header names, as { topic, partition, offset }. */
export function causesOf(e) {
  const header = e.headers?.["caused-by"];
  if (typeof header !== "string") return [];
  return header.split(",").flatMap((text) => {
    const match = /^(.+)\/(\d+)\/(\d+)$/.exec(text);
    return match === null ? [] : [{ topic: match[1], partition: Number(match[2]), offset: Number(match[3]) }];
  });
}
