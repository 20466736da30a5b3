// What the legacy system does not know of its products: a price to begin with, and a picture.

const PRICES = {
  "amp-headphone": 14900, "amp-integrated": 39900, "amp-tube": 89900,
  "cable-rca-1m": 1290, "cable-speaker-10m": 2490, "cable-xlr-3m": 1890,
  "cartridge-mc": 28900, "cartridge-mm": 8900, "cassette-deck": 32900, "cd-player": 24900,
  "drum-machine": 34900, "headphones-closed": 11900, "headphones-open": 17900, "interface-2x2": 15900,
  "lp-blue-hour": 2490, "lp-northern-lines": 2690, "lp-river-songs": 2290, "lp-static-garden": 2490,
  "microphone-condenser": 21900, "microphone-dynamic": 9900, "mixer-dj-2": 27900, "phono-preamp": 12900,
  "receiver-stereo": 29900, "record-brush": 1490, "record-cleaner": 44900, "record-shelf": 13900,
  "record-sleeves-50": 990, "reel-tape-7": 3490, "single-lighthouse": 890, "slipmat-felt": 1190,
  "speaker-bookshelf": 34900, "speaker-floor": 79900, "speaker-monitor": 22900,
  "stylus-conical": 2990, "stylus-elliptical": 4490, "subwoofer-10": 38900, "synth-mono": 49900,
  "turntable-belt": 44900, "turntable-mk2": 54900, "turntable-portable": 7900,
};
const PRICE_OF_OTHERS = 1990;

const PICTURES = [
  [/^turntable/, "turntable"], [/^(cartridge|stylus)/, "cartridge"], [/^amp-tube/, "tube"],
  [/^(amp|receiver|phono|interface)/, "amplifier"], [/^(speaker|subwoofer)/, "speaker"], [/^headphones/, "headphones"],
  [/^cassette/, "tape"], [/^cd/, "player"], [/^reel/, "reel"], [/^record-(shelf|sleeves)/, "shelf"],
  [/^(record|slipmat)/, "care"], [/^cable/, "cable"], [/^microphone/, "microphone"], [/^mixer/, "desk"],
  [/^(synth|drum)/, "keys"], [/^(lp|single)-/, "lp"],
];

export const listPrice = (productId) => PRICES[productId] ?? PRICE_OF_OTHERS;

export const picture = (productId) => PICTURES.find(([pattern]) => pattern.test(productId))?.[1] ?? "parcel";
