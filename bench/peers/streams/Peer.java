import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Function;

import org.apache.avro.Schema;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.Serializer;
import org.apache.kafka.streams.CloseOptions;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.processor.StateRestoreListener;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.ProcessorSupplier;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;

/** The four checks of an order on Kafka Streams, exactly once, for ./demo bench to hold ours against: orders, inventory,
 * fraud and order-details as their READMEs say it, on the same Avro records, with topics of their own ("peer-…") beside the
 * suite's stock and customers. Four applications in one process, which costs less than four would.
 *
 * Says "topics" once they are there, begins at the next line of its standard input, says "running", and ends with its input.
 * With the argument "restore": one application, whose store is restored from peer-restore-kept-changelog, and which says how
 * many records in how many seconds, from the first one: what the group takes is not counted.
 * Environment: KAFKA_BROKERS, REGISTRY_URL, STATE_DIR, PARTITIONS (4), COMMIT_MS (100). */
public final class Peer {
    static final String REGISTRY = System.getenv("REGISTRY_URL");
    static final String REQUESTS = "peer-order-requests", ORDERS = "peer-orders", VALIDATIONS = "peer-order-validations",
        BY_PRODUCT = "peer-orders-by-product", BY_CUSTOMER = "peer-orders-by-customer";

    // ---- records ----

    enum State { CREATED, VALIDATED, FAILED }
    enum Check { INVENTORY_CHECK, FRAUD_CHECK, ORDER_DETAILS_CHECK }

    record Request(String id, String customerId, String productId, int quantity, long priceCents) {
        static Request read(BinaryDecoder in) throws IOException {
            return new Request(in.readString(), in.readString(), in.readString(), in.readInt(), in.readLong());
        }
    }

    record Order(String id, String customerId, String productId, int quantity, long priceCents, State state, String reason,
                 long createdAt) {
        static Order read(BinaryDecoder in) throws IOException {
            String id = in.readString(), customer = in.readString(), product = in.readString();
            int quantity = in.readInt();
            long price = in.readLong();
            State state = State.values()[in.readEnum()];
            String reason = null;
            for (long n = in.readArrayStart(); n > 0; n = in.arrayNext())
                for (; n > 0; n--)
                    reason = in.readString();
            return new Order(id, customer, product, quantity, price, state, reason, in.readLong());
        }

        void write(BinaryEncoder out) throws IOException {
            out.writeString(id);
            out.writeString(customerId);
            out.writeString(productId);
            out.writeInt(quantity);
            out.writeLong(priceCents);
            out.writeEnum(state.ordinal());
            out.writeArrayStart();
            if (reason != null) {
                out.setItemCount(1);
                out.startItem();
                out.writeString(reason);
            }
            out.writeArrayEnd();
            out.writeLong(createdAt);
        }

        Order with(State outcome, String why) {
            return new Order(id, customerId, productId, quantity, priceCents, outcome, why, createdAt);
        }
    }

    record Validation(String orderId, Check check, boolean pass, String reason, Integer onHand, Long reservedBefore) {
        static Validation read(BinaryDecoder in) throws IOException {
            return new Validation(in.readString(), Check.values()[in.readEnum()], in.readEnum() == 0,
                in.readIndex() == 0 ? null : in.readString(), in.readIndex() == 0 ? null : Integer.valueOf(in.readInt()),
                in.readIndex() == 0 ? null : Long.valueOf(in.readLong()));
        }

        void write(BinaryEncoder out) throws IOException {
            out.writeString(orderId);
            out.writeEnum(check.ordinal());
            out.writeEnum(pass ? 0 : 1);
            out.writeIndex(reason == null ? 0 : 1);
            if (reason != null)
                out.writeString(reason);
            out.writeIndex(onHand == null ? 0 : 1);
            if (onHand != null)
                out.writeInt(onHand);
            out.writeIndex(reservedBefore == null ? 0 : 1);
            if (reservedBefore != null)
                out.writeLong(reservedBefore);
        }
    }

    /** An order as its application keeps it: with the checks that have passed, a bit each. */
    record Made(Order order, int passed) {
        static Made read(BinaryDecoder in) throws IOException {
            return new Made(Order.read(in), in.readInt());
        }

        void write(BinaryEncoder out) throws IOException {
            order.write(out);
            out.writeInt(passed);
        }
    }

    /** What an order holds of a product: -1 once it was given back. */
    record Reservation(int quantity) {
    }

    /** The sessions of a customer: first and last event and sum of each. */
    record Sessions(long[] at) {
        static Sessions read(BinaryDecoder in) throws IOException {
            long[] at = new long[in.readInt()];
            for (int i = 0; i < at.length; i++)
                at[i] = in.readLong();
            return new Sessions(at);
        }

        void write(BinaryEncoder out) throws IOException {
            out.writeInt(at.length);
            for (long a : at)
                out.writeLong(a);
        }
    }

    interface Reader<T> {
        T read(BinaryDecoder in) throws IOException;
    }

    interface Writer<T> {
        void write(T value, BinaryEncoder out) throws IOException;
    }

    /** Without a schema's id for state, with one for topics. */
    static <T> Serde<T> serde(int schema, Reader<T> reader, Writer<T> writer) {
        int prefix = schema == 0 ? 0 : 5;
        return Serdes.serdeFrom((topic, value) -> {
            if (value == null)
                return null;
            try {
                ByteArrayOutputStream bytes = new ByteArrayOutputStream(128);
                if (prefix > 0)
                    bytes.write(ByteBuffer.allocate(5).putInt(1, schema).array());
                BinaryEncoder out = EncoderFactory.get().directBinaryEncoder(bytes, null);
                writer.write(value, out);
                out.flush();
                return bytes.toByteArray();
            } catch (IOException e) {
                throw new IllegalStateException(e);
            }
        }, (topic, bytes) -> {
            if (bytes == null)
                return null;
            try {
                return reader.read(DecoderFactory.get().binaryDecoder(bytes, prefix, bytes.length - prefix, null));
            } catch (IOException e) {
                throw new IllegalStateException(topic, e);
            }
        });
    }

    // ---- the registry ----

    static final HttpClient HTTP = HttpClient.newHttpClient();
    static final Map<Integer, Schema> SCHEMAS = new ConcurrentHashMap<>();

    static String ask(String path) {
        try {
            HttpResponse<String> answer =
                HTTP.send(HttpRequest.newBuilder(URI.create(REGISTRY + path)).build(), HttpResponse.BodyHandlers.ofString());
            if (answer.statusCode() != 200)
                throw new IllegalStateException(path + ": " + answer.statusCode());
            return answer.body();
        } catch (IOException | InterruptedException e) {
            throw new IllegalStateException(path, e);
        }
    }

    static String field(String json, String name) throws IOException {
        return new com.fasterxml.jackson.databind.ObjectMapper().readTree(json).get(name).asText();
    }

    /** The id with which ours writes a topic. */
    static int schemaOf(String topic) throws IOException {
        return Integer.parseInt(field(ask("/subjects/" + topic + "-value/versions/latest"), "id"));
    }

    /** Whatever wrote it: Connect has schemas of its own. */
    static GenericRecord generic(byte[] bytes) {
        int id = ByteBuffer.wrap(bytes).getInt(1);
        Schema schema = SCHEMAS.computeIfAbsent(id, i -> {
            try {
                return new Schema.Parser().parse(field(ask("/schemas/ids/" + i), "schema"));
            } catch (IOException e) {
                throw new IllegalStateException(e);
            }
        });
        try {
            return new GenericDatumReader<GenericRecord>(schema)
                .read(null, DecoderFactory.get().binaryDecoder(bytes, 5, bytes.length - 5, null));
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }

    // ---- processors ----

    /** One that forwards; the name of a store or more. */
    abstract static class Step<V> implements Processor<String, V, String, Object> {
        ProcessorContext<String, Object> context;

        @Override
        public void init(ProcessorContext<String, Object> c) {
            context = c;
        }

        <T> KeyValueStore<String, T> store(String name) {
            return context.getStateStore(name);
        }

        void emit(Record<String, V> in, String key, Object value, String sink) {
            context.forward(in.withKey(key).withValue((Object) value), sink);
        }
    }

    /** A table of another topic, in memory, at each instance. */
    static final class Table implements Processor<String, byte[], Void, Void> {
        final String name;
        KeyValueStore<String, Integer> store;

        Table(String name) {
            this.name = name;
        }

        @Override
        public void init(ProcessorContext<Void, Void> context) {
            store = context.getStateStore(name);
        }

        @Override
        public void process(Record<String, byte[]> in) {
            if (in.value() == null) {
                store.delete(in.key());
                return;
            }
            GenericRecord row = generic(in.value());
            Object quantity = row.hasField("quantity") ? row.get("quantity") : null;
            store.put(in.key(), quantity == null ? Integer.valueOf(0) : (Integer) quantity);
        }
    }

    static void put(Step<?> step, Record<String, ?> in, Order o) {
        @SuppressWarnings("unchecked")
        Record<String, Object> r = (Record<String, Object>) in;
        step.context.forward(r.withKey(o.id).withValue((Object) o), ORDERS);
        if (o.state != State.VALIDATED)
            step.context.forward(r.withKey(o.productId).withValue((Object) o), BY_PRODUCT);
        if (o.state == State.CREATED)
            step.context.forward(r.withKey(o.customerId).withValue((Object) o), BY_CUSTOMER);
    }

    static final class Create extends Step<Request> {
        @Override
        public void process(Record<String, Request> in) {
            Request r = in.value();
            KeyValueStore<String, Made> made = store("made");
            if (made.get(in.key()) != null)
                return;
            Order o = new Order(r.id, r.customerId, r.productId, r.quantity, r.priceCents, State.CREATED, null,
                                in.timestamp());
            made.put(in.key(), new Made(o, 0));
            put(this, in, o);
        }
    }

    static final class Decide extends Step<Validation> {
        @Override
        public void process(Record<String, Validation> in) {
            Validation v = in.value();
            KeyValueStore<String, Made> made = store("made");
            Made m = made.get(in.key());
            if (m == null || m.order.state != State.CREATED)
                return;
            int passed = m.passed | 1 << v.check.ordinal();
            if (v.pass && passed != 7) {
                made.put(in.key(), new Made(m.order, passed));
                return;
            }
            Order o = v.pass ? m.order.with(State.VALIDATED, null)
                             : m.order.with(State.FAILED, v.reason == null ? v.check.name() : v.reason);
            made.put(in.key(), new Made(o, passed));
            put(this, in, o);
        }
    }

    static final class Inventory extends Step<Order> {
        @Override
        public void process(Record<String, Order> in) {
            Order o = in.value();
            KeyValueStore<String, Long> reserved = store("reserved");
            KeyValueStore<String, Reservation> reservations = store("reservations");
            Reservation held = reservations.get(o.id);
            Long before = reserved.get(in.key());
            long others = before == null ? 0 : before;
            if (o.state == State.CREATED && held == null) {
                Integer stock = this.<Integer>store("stock").get(in.key());
                int onHand = stock == null ? 0 : stock;
                boolean pass = onHand - others >= o.quantity;
                int hold = pass && o.quantity > 0 ? o.quantity : 0;
                if (hold > 0)
                    reserved.put(in.key(), others + hold);
                reservations.put(o.id, new Reservation(hold));
                String reason = pass ? null : "quantity: " + o.quantity + " wanted, " + (onHand - others) + " available";
                emit(in, o.id, new Validation(o.id, Check.INVENTORY_CHECK, pass, reason, onHand, others), VALIDATIONS);
            } else if (o.state == State.FAILED && held != null && held.quantity > 0) {
                reserved.put(in.key(), others - held.quantity);
                reservations.put(o.id, new Reservation(-1));
            }
        }
    }

    static final class Fraud extends Step<Order> {
        static final long GAP_MS = 3600_000, KEPT_MS = 24 * GAP_MS, LIMIT_CENTS = 200000;

        @Override
        public void process(Record<String, Order> in) {
            Order o = in.value();
            KeyValueStore<String, Boolean> verdicts = store("verdicts");
            if (o.state != State.CREATED || verdicts.get(o.id) != null)
                return;
            KeyValueStore<String, Sessions> sessions = store("sessions");
            Sessions s = sessions.get(in.key());
            long first = in.timestamp(), last = first, total = Math.max(0, o.quantity) * Math.max(0, o.priceCents);
            List<Long> kept = new ArrayList<>();
            for (int i = 0; s != null && i < s.at.length; i += 3) {
                if (s.at[i] - GAP_MS <= in.timestamp() && in.timestamp() <= s.at[i + 1] + GAP_MS) {
                    first = Math.min(first, s.at[i]);
                    last = Math.max(last, s.at[i + 1]);
                    total += s.at[i + 2];
                } else if (s.at[i + 1] + KEPT_MS >= in.timestamp()) {
                    kept.addAll(List.of(s.at[i], s.at[i + 1], s.at[i + 2]));
                }
            }
            kept.addAll(List.of(first, last, total));
            sessions.put(in.key(), new Sessions(kept.stream().mapToLong(Long::longValue).toArray()));
            boolean pass = total < LIMIT_CENTS;
            verdicts.put(o.id, pass);
            String reason = pass ? null : "customerId: orders of " + total + " cents in one session, the limit is " + LIMIT_CENTS;
            emit(in, o.id, new Validation(o.id, Check.FRAUD_CHECK, pass, reason, null, null), VALIDATIONS);
        }
    }

    static final class Details extends Step<Order> {
        @Override
        public void process(Record<String, Order> in) {
            Order o = in.value();
            KeyValueStore<String, Boolean> verdicts = store("verdicts");
            if (o.state != State.CREATED || verdicts.get(o.id) != null)
                return;
            String reason = o.quantity < 1                                       ? "quantity: " + o.quantity + " is less than 1"
                            : o.priceCents < 0                                   ? "priceCents: " + o.priceCents + " is less than 0"
                            : this.<Integer>store("stock").get(o.productId) == null ? "productId: unknown product " + o.productId
                            : this.<Integer>store("customers").get(o.customerId) == null
                                ? "customerId: unknown customer " + o.customerId
                                : null;
            verdicts.put(o.id, reason == null);
            emit(in, o.id, new Validation(o.id, Check.ORDER_DETAILS_CHECK, reason == null, reason, null, null), VALIDATIONS);
        }
    }

    // ---- topologies ----

    static final Serde<String> TEXT = Serdes.String();

    static <T> StoreBuilder<KeyValueStore<String, T>> kept(String name, Serde<T> serde) {
        return Stores.keyValueStoreBuilder(Stores.persistentKeyValueStore(name), TEXT, serde).withCachingEnabled();
    }

    static void table(Topology t, String name, String topic) {
        t.addGlobalStore(
            Stores.keyValueStoreBuilder(Stores.inMemoryKeyValueStore(name), TEXT, Serdes.Integer()).withLoggingDisabled(),
            name + "-source", TEXT.deserializer(), Serdes.ByteArray().deserializer(), topic, name + "-table", () -> new Table(name));
    }

    static <V> void check(Topology t, ProcessorSupplier<String, V, String, Object> step, String from, Deserializer<V> in,
                          Serializer<Validation> out, StoreBuilder<?>... stores) {
        t.addSource("orders", TEXT.deserializer(), in, from).addProcessor("check", step, "orders");
        for (StoreBuilder<?> s : stores)
            t.addStateStore(s, "check");
        t.addSink(VALIDATIONS, VALIDATIONS, TEXT.serializer(), out, "check");
    }

    static Map<String, Topology> topologies() throws IOException {
        Serde<Request> requests = serde(schemaOf("order-requests"), Request::read, (v, out) -> {});
        Serde<Order> orders = serde(schemaOf("orders"), Order::read, Order::write);
        Serde<Validation> validations = serde(schemaOf("order-validations"), Validation::read, Validation::write);
        Serde<Made> made = serde(0, Made::read, Made::write);
        Serde<Sessions> sessions = serde(0, Sessions::read, Sessions::write);
        Serde<Reservation> reservations = serde(0, in -> new Reservation(in.readInt()), (v, out) -> out.writeInt(v.quantity));
        Map<String, Topology> all = new HashMap<>();

        Topology t = new Topology();
        t.addSource("requests", TEXT.deserializer(), requests.deserializer(), REQUESTS)
            .addSource("validations", TEXT.deserializer(), validations.deserializer(), VALIDATIONS)
            .addProcessor("create", Create::new, "requests")
            .addProcessor("decide", Decide::new, "validations")
            .addStateStore(kept("made", made), "create", "decide");
        for (String sink : List.of(ORDERS, BY_PRODUCT, BY_CUSTOMER))
            t.addSink(sink, sink, TEXT.serializer(), orders.serializer(), "create", "decide");
        all.put("orders", t);

        t = new Topology();
        table(t, "stock", "stock");
        check(t, Inventory::new, BY_PRODUCT, orders.deserializer(), validations.serializer(), kept("reserved", Serdes.Long()),
              kept("reservations", reservations));
        all.put("inventory", t);

        t = new Topology();
        check(t, Fraud::new, BY_CUSTOMER, orders.deserializer(), validations.serializer(), kept("sessions", sessions),
              kept("verdicts", Serdes.Boolean()));
        all.put("fraud", t);

        t = new Topology();
        table(t, "stock", "stock");
        table(t, "customers", "customers");
        check(t, Details::new, ORDERS, orders.deserializer(), validations.serializer(), kept("verdicts", Serdes.Boolean()));
        all.put("order-details", t);
        return all;
    }

    // ---- the process ----

    static String setting(String name, String otherwise) {
        String value = System.getenv(name);
        return value == null || value.isEmpty() ? otherwise : value;
    }

    static Properties properties(String name) {
        Properties p = new Properties();
        p.put(StreamsConfig.APPLICATION_ID_CONFIG, "peer-" + name);
        p.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, setting("KAFKA_BROKERS", "localhost:9092"));
        p.put(StreamsConfig.STATE_DIR_CONFIG, System.getenv("STATE_DIR"));
        p.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        p.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, setting("COMMIT_MS", "100"));
        p.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 64L << 20);
        p.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1);
        p.put("consumer.auto.offset.reset", "earliest");
        p.put("producer.linger.ms", 5);
        p.put("producer.batch.size", 128 << 10);
        return p;
    }

    static final int PARTITIONS = Integer.parseInt(setting("PARTITIONS", "4"));

    static void topics(Admin admin, String... names) throws Exception {
        List<NewTopic> all = new ArrayList<>();
        for (String name : names)
            all.add(new NewTopic(name, PARTITIONS, (short) 1)
                        .configs(name.endsWith("-changelog") ? Map.of("cleanup.policy", "compact") : Map.of()));
        for (var made : admin.createTopics(all).values().values())
            try {
                made.get();
            } catch (java.util.concurrent.ExecutionException e) {
                if (!(e.getCause() instanceof TopicExistsException))
                    throw e;
            }
    }

    static KafkaStreams started(Topology topology, Properties properties, CountDownLatch running, StateRestoreListener listener) {
        KafkaStreams s = new KafkaStreams(topology, properties);
        s.setStateListener((now, before) -> {
            if (now == KafkaStreams.State.RUNNING)
                running.countDown();
        });
        s.setGlobalStateRestoreListener(listener);
        s.setUncaughtExceptionHandler(e -> {
            e.printStackTrace();
            Runtime.getRuntime().halt(1);
            return StreamThreadExceptionResponse.SHUTDOWN_APPLICATION;
        });
        s.start();
        return s;
    }

    /** Whoever is started next need not wait until this one is taken for dead. */
    static void close(KafkaStreams s) {
        s.close(CloseOptions.groupMembershipOperation(CloseOptions.GroupMembershipOperation.LEAVE_GROUP));
    }

    /** Counts what is restored, and the partitions that are; since when. */
    static final class Restored implements StateRestoreListener {
        final AtomicLong records = new AtomicLong();
        final CountDownLatch left = new CountDownLatch(PARTITIONS);
        final AtomicLong start = new AtomicLong();

        @Override
        public void onRestoreStart(TopicPartition of, String store, long from, long to) {
            start.compareAndSet(0, System.nanoTime());
        }

        @Override
        public void onBatchRestored(TopicPartition of, String store, long to, long count) {
            records.addAndGet(count);
        }

        @Override
        public void onRestoreEnd(TopicPartition of, String store, long total) {
            left.countDown();
        }
    }

    static final class Keep extends Step<byte[]> {
        @Override
        public void process(Record<String, byte[]> in) {
            KeyValueStore<String, byte[]> kept = store("kept");
            kept.put(in.key(), in.value());
        }
    }

    static void restore() throws Exception {
        Topology t = new Topology();
        t.addSource("in", TEXT.deserializer(), Serdes.ByteArray().deserializer(), "peer-restore-input")
            .addProcessor("keep", Keep::new, "in")
            .addStateStore(kept("kept", Serdes.ByteArray()), "keep");
        Properties p = properties("restore");
        p.put("restore.consumer.max.poll.records", 20000);
        p.put("restore.consumer.max.partition.fetch.bytes", 8 << 20);
        Restored restored = new Restored();
        CountDownLatch running = new CountDownLatch(1);
        KafkaStreams s = started(t, p, running, restored);
        running.await();
        restored.left.await();
        double seconds = (System.nanoTime() - restored.start.get()) / 1e9;
        System.out.println("{\"records\":" + restored.records.get() + ",\"seconds\":" + seconds + "}");
        while (System.in.read() >= 0)
            ;
        close(s);
    }

    public static void main(String[] arguments) throws Exception {
        boolean restoring = List.of(arguments).contains("restore");
        try (Admin admin = Admin.create(properties("topics"))) {
            if (restoring)
                topics(admin, "peer-restore-input", "peer-restore-kept-changelog");
            else
                topics(admin, REQUESTS, ORDERS, VALIDATIONS, BY_PRODUCT, BY_CUSTOMER);
        }
        System.out.println("topics");
        if (System.in.read() < 0)
            return;
        if (restoring) {
            restore();
            return;
        }
        List<KafkaStreams> running = new ArrayList<>();
        Map<String, Topology> all = topologies();
        CountDownLatch starting = new CountDownLatch(all.size());
        for (var one : all.entrySet()) {
            running.add(started(one.getValue(), properties(one.getKey()), starting, new Restored()));
        }
        starting.await();
        System.out.println("running");
        while (System.in.read() >= 0)
            ;
        running.forEach(Peer::close);
    }
}
