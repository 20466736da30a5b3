-- The legacy system: a shop for records and what plays them. Every change of these tables becomes an event.

CREATE TABLE stock (
    product_id text PRIMARY KEY,
    name       text,
    quantity   int
);

CREATE TABLE movies (
    movie_id     bigint PRIMARY KEY,
    title        text,
    release_year int
);

INSERT INTO stock (product_id, name, quantity) VALUES
    ('turntable-mk2',        'Direct-drive turntable MK2',             24),
    ('turntable-belt',       'Belt-drive turntable, walnut',           31),
    ('turntable-portable',   'Portable suitcase turntable',            58),
    ('cartridge-mm',         'Moving-magnet cartridge',                120),
    ('cartridge-mc',         'Moving-coil cartridge',                  18),
    ('stylus-elliptical',    'Replacement stylus, elliptical',         260),
    ('stylus-conical',       'Replacement stylus, conical',            310),
    ('phono-preamp',         'Phono preamplifier',                     44),
    ('amp-integrated',       'Integrated amplifier, 2 x 60 W',         22),
    ('amp-tube',             'Tube amplifier, single-ended',           7),
    ('amp-headphone',        'Headphone amplifier with DAC',           63),
    ('receiver-stereo',      'Stereo receiver with FM',                15),
    ('speaker-bookshelf',    'Bookshelf speakers, pair',               40),
    ('speaker-floor',        'Floor-standing speakers, pair',          12),
    ('speaker-monitor',      'Active studio monitor',                  36),
    ('subwoofer-10',         'Subwoofer, 10 inch',                     14),
    ('headphones-open',      'Open-back headphones',                   75),
    ('headphones-closed',    'Closed-back studio headphones',          140),
    ('cassette-deck',        'Three-head cassette deck',               5),
    ('cd-player',            'CD player with digital output',          27),
    ('reel-tape-7',          'Recording tape, 7 inch reel',            90),
    ('slipmat-felt',         'Slipmat, felt',                          420),
    ('record-brush',         'Carbon-fibre record brush',              500),
    ('record-cleaner',       'Record-cleaning machine',                9),
    ('record-sleeves-50',    'Inner sleeves, pack of 50',              380),
    ('record-shelf',         'Record shelf for 200 LPs',               33),
    ('cable-rca-1m',         'RCA cable, 1 m',                         450),
    ('cable-xlr-3m',         'XLR cable, 3 m',                         210),
    ('cable-speaker-10m',    'Speaker cable, 10 m',                    170),
    ('microphone-dynamic',   'Dynamic vocal microphone',               85),
    ('microphone-condenser', 'Large-diaphragm condenser microphone',   29),
    ('interface-2x2',        'Audio interface, 2 in, 2 out',           52),
    ('mixer-dj-2',           'Two-channel DJ mixer',                   19),
    ('synth-mono',           'Analogue monophonic synthesizer',        11),
    ('drum-machine',         'Drum machine, 16 steps',                 16),
    ('lp-blue-hour',         'LP: Blue Hour, The Night Trains',        130),
    ('lp-northern-lines',    'LP: Northern Lines, Aurora Quartet',     95),
    ('lp-river-songs',       'LP: River Songs, Maya Holt',             210),
    ('lp-static-garden',     'LP: Static Garden, Low Voltage',         64),
    ('single-lighthouse',    '7 inch: Lighthouse, The Night Trains',   150);
