#include "plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Words that go with many kinds of street; none is anybody's. */
static const char *const words[] = {
    "Acacia",   "Albatross", "Alder",    "Almond",    "Amber",    "Anchor",    "Anvil",    "Apple",
    "Arbour",   "Ash",       "Aspen",    "Aster",     "Aurora",   "Avocet",    "Baker",    "Balsam",
    "Barley",   "Basalt",    "Basin",    "Bayleaf",   "Beacon",   "Beech",     "Bell",     "Bellows",
    "Birch",    "Bittern",   "Bluebell", "Boatyard",  "Bobbin",   "Bramble",   "Brewer",   "Briar",
    "Bronze",   "Buoy",      "Cable",    "Candle",    "Canvas",   "Capstan",   "Caraway",  "Cardinal",
    "Cedar",    "Chandler",  "Cherry",   "Chestnut",  "Cinnamon", "Clover",    "Cobalt",   "Compass",
    "Cooper",   "Copper",    "Coral",    "Cormorant", "Cotton",   "Crane",     "Crystal",  "Curlew",
    "Cutler",   "Cypress",   "Dahlia",   "Damson",    "Dolphin",  "Dove",      "Dyer",     "Eider",
    "Elder",    "Elm",       "Ember",    "Falcon",    "Fennel",   "Fern",      "Ferry",    "Fig",
    "Finch",    "Fir",       "Flax",     "Flint",     "Foundry",  "Foxglove",  "Frigate",  "Fuller",
    "Gable",    "Gannet",    "Garnet",   "Gentian",   "Ginger",   "Glass",     "Glover",   "Gorse",
    "Granary",  "Granite",   "Grebe",    "Gull",      "Halyard",  "Hammer",    "Harbour",  "Harrier",
    "Hawthorn", "Hazel",     "Heather",  "Hemp",      "Heron",    "Holly",     "Honey",    "Hornbeam",
    "Ibis",     "Indigo",    "Iris",     "Iron",      "Ivy",      "Jade",      "Jasmine",  "Juniper",
    "Keel",     "Kestrel",   "Kiln",     "Kite",      "Lantern",  "Larch",     "Larkspur", "Laurel",
    "Lavender", "Lemon",     "Lighter",  "Lilac",     "Lily",     "Lime",      "Linden",   "Linen",
    "Linnet",   "Loom",      "Lupin",    "Magnolia",  "Magpie",   "Malt",      "Maple",    "Marble",
    "Mariner",  "Marten",    "Mason",    "Meadow",    "Merlin",   "Mill",      "Miller",   "Mint",
    "Mosaic",   "Mulberry",  "Myrtle",   "Nautilus",  "Needle",   "Nettle",    "Nutmeg",   "Oak",
    "Oar",      "Ochre",     "Olive",    "Onyx",      "Opal",     "Orchard",   "Orchid",   "Osprey",
    "Otter",    "Paper",     "Parsley",  "Pearl",     "Pebble",   "Pelican",   "Pepper",   "Petrel",
    "Pewter",   "Pilot",     "Pine",     "Plane",     "Plover",   "Plum",      "Poplar",   "Poppy",
    "Potter",   "Primrose",  "Printer",  "Puffin",    "Quarry",   "Quartz",    "Quill",    "Quince",
    "Raven",    "Redstart",  "Reed",     "Robin",     "Rope",     "Rose",      "Rosemary", "Rowan",
    "Rudder",   "Rush",      "Saddler",  "Saffron",   "Sage",     "Sailmaker", "Salt",     "Sandpiper",
    "Sapphire", "Scarlet",   "Sextant",  "Shell",     "Shuttle",  "Silver",    "Siskin",   "Skylark",
    "Slate",    "Smith",     "Snipe",    "Sorrel",    "Sparrow",  "Spice",     "Spindle",  "Spruce",
    "Starling", "Stork",     "Swallow",  "Sycamore",  "Tamarind", "Tanner",    "Tansy",    "Teal",
    "Tern",     "Thistle",   "Thyme",    "Tiller",    "Timber",   "Topaz",     "Tulip",    "Turner",
    "Umber",    "Vanilla",   "Velvet",   "Verbena",   "Vine",     "Violet",    "Wagtail",  "Walnut",
    "Warbler",  "Weaver",    "Wharf",    "Wheat",     "Whistler", "Willow",    "Windmill", "Wren",
    "Yarrow",   "Yew",
};
enum { WORDS = sizeof words / sizeof *words };

static const char *const street_kinds[] = {"Street", "Lane",   "Street", "Road",
                                           "Row",    "Street", "Walk",   "Way"};
static const char *const square_kinds[] = {"Green", "Square", "Gardens"};

static char *join(const char *a, const char *b) {
    char *text = malloc(strlen(a) + strlen(b) + 2);
    if (text == NULL)
        abort();
    sprintf(text, "%s %s", a, b);
    return text;
}

/* Each word once before any comes again, then with another kind of street; no two names are the same. */
static size_t deck[WORDS], dealt;

static size_t deal(void) {
    if (dealt % WORDS == 0)
        for (size_t i = 0; i < WORDS; i++) {
            size_t k = random_below(i + 1);
            deck[i] = deck[k];
            deck[k] = i;
        }
    return deck[dealt++ % WORDS];
}

static bool taken(const char *name) {
    for (size_t i = 0; i < street_count; i++)
        if (streets[i].name != NULL && strcmp(streets[i].name, name) == 0)
            return true;
    for (size_t i = 0; i < area_count; i++)
        if (areas[i].name != NULL && strcmp(areas[i].name, name) == 0)
            return true;
    return false;
}

static const char *name(const char *const *kinds, size_t kind_count) {
    for (;;) {
        size_t word = deal();
        char *text = join(words[word], kinds[random_below(kind_count)]);
        if (!taken(text))
            return text;
        free(text);
    }
}

static const char *street_name(const struct street *s) {
    static const char *const avenues[] = {"Avenue", "Boulevard", "Avenue"}, *const bridges[] = {"Bridge"};
    static const char *const quays[] = {"North Quay", "South Quay", "Lakeside Drive"};
    static size_t quay;
    switch (s->kind) {
    case KIND_COAST:
        return "Ocean Drive";
    case KIND_QUAY:
        return quays[quay++ % 3];
    case KIND_BRIDGE:
        return name(bridges, 1);
    case KIND_STREET:
        break;
    }
    return s->class == CLASS_AVENUE ? name(avenues, 3)
                                    : name(street_kinds, sizeof street_kinds / sizeof *street_kinds);
}

void names_make(void) {
    static const char *const parks[] = {"Park"};
    for (size_t s = 0; s < street_count; s++)
        streets[s].name = street_name(&streets[s]);
    for (size_t i = 0; i < area_count; i++) {
        double size = line_length(&areas[i].line);
        if (areas[i].kind == AREA_PARK)
            areas[i].name = size > 700 ? name(parks, 1) : name(square_kinds, 3);
    }
}
