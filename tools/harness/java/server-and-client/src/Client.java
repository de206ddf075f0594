import java.net.InetAddress;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

import com.fasterxml.jackson.databind.JsonNode;

import org.eclipse.leshan.client.LeshanClient;
import org.eclipse.leshan.client.LeshanClientBuilder;
import org.eclipse.leshan.client.endpoint.LwM2mClientEndpointsProvider;
import org.eclipse.leshan.client.engine.DefaultClientEndpointNameProvider;
import org.eclipse.leshan.client.engine.DefaultClientEndpointNameProvider.Mode;
import org.eclipse.leshan.client.engine.DefaultRegistrationEngineFactory;
import org.eclipse.leshan.client.object.Device;
import org.eclipse.leshan.client.object.Security;
import org.eclipse.leshan.client.observer.LwM2mClientObserver;
import org.eclipse.leshan.client.resource.DummyInstanceEnabler;
import org.eclipse.leshan.client.resource.LwM2mObjectEnabler;
import org.eclipse.leshan.client.resource.ObjectsInitializer;
import org.eclipse.leshan.client.servers.LwM2mServer;
import org.eclipse.leshan.core.LwM2mId;
import org.eclipse.leshan.core.ResponseCode;
import org.eclipse.leshan.core.node.codec.DefaultLwM2mDecoder;
import org.eclipse.leshan.core.node.codec.DefaultLwM2mEncoder;
import org.eclipse.leshan.core.node.codec.LwM2mValueChecker;
import org.eclipse.leshan.core.request.BootstrapRequest;
import org.eclipse.leshan.core.request.ContentFormat;
import org.eclipse.leshan.core.request.DeregisterRequest;
import org.eclipse.leshan.core.request.ReadRequest;
import org.eclipse.leshan.core.request.RegisterRequest;
import org.eclipse.leshan.core.request.UpdateRequest;
import org.eclipse.leshan.core.response.ReadResponse;
import org.eclipse.leshan.transport.californium.client.endpoint.CaliforniumClientEndpointsProvider;
import org.eclipse.leshan.transport.californium.client.endpoint.coap.CoapClientProtocolProvider;
import org.eclipse.leshan.transport.californium.client.endpoint.coaps.CoapsClientProtocolProvider;

/** Leshan's client: objects 0, 1, 2 (no instance) and 3. */
class Client {
    private final Lines lines;
    private final Map<String, LeshanClient> clients = new ConcurrentHashMap<>();

    Client(Lines lines) {
        this.lines = lines;
        lines.command("start_client", this::start);
        lines.command("stop_client", this::stop);
        lines.command("update_client", this::update);
        lines.command("bootstrap_client", this::bootstrap);
        lines.command("client_object", this::object);
        lines.command("client_send", this::send);
    }

    private Object start(JsonNode args) throws Exception {
        String endpoint = args.get("endpoint").asText();

        ObjectsInitializer objects = new ObjectsInitializer();
        if (args.hasNonNull("bootstrap_uri")) {
            Security security = bootstrapSecurity(args, args.get("bootstrap_uri").asText());
            security.setId(args.path("security_instance").asInt(0));
            objects.setInstancesForObject(LwM2mId.SECURITY, security);
            objects.setClassForObject(LwM2mId.SERVER, org.eclipse.leshan.client.object.Server.class);
        } else {
            int shortServerId = args.path("short_server_id").asInt(1);
            objects.setInstancesForObject(LwM2mId.SECURITY,
                    serverSecurity(args, args.get("server_uri").asText(), shortServerId));
            objects.setInstancesForObject(LwM2mId.SERVER, new org.eclipse.leshan.client.object.Server(shortServerId,
                    args.path("lifetime").asLong(300)));
        }
        objects.setInstancesForObject(LwM2mId.DEVICE, new Device("Leshan", "harness", "1"));
        objects.setClassForObject(LwM2mId.ACCESS_CONTROL, DummyInstanceEnabler.class);

        DefaultRegistrationEngineFactory engine = new DefaultRegistrationEngineFactory();
        if (args.has("preferred_format")) // absent: Leshan's default; null: no pct is sent
            engine.setPreferredContentFormat(format(args.get("preferred_format")));
        if (args.has("retry_ms"))
            engine.setRetryWaitingTimeInMs(args.get("retry_ms").asInt());
        if (args.has("lifetime") && !args.hasNonNull("bootstrap_uri"))
            engine.setCommunicationPeriod(args.get("lifetime").asInt() * 1000 / 2);

        LwM2mClientEndpointsProvider provider = new CaliforniumClientEndpointsProvider.Builder(
                new CoapClientProtocolProvider(), new CoapsClientProtocolProvider()) //
                .setClientAddress(InetAddress.getLoopbackAddress()).build();
        Mode mode = args.path("send_endpoint").asBoolean(true) ? Mode.ALWAYS : Mode.NEVER;
        LeshanClientBuilder builder = new LeshanClientBuilder(new DefaultClientEndpointNameProvider(endpoint, mode)) //
                .setObjects(objects.createAll()) //
                .setEndpointsProviders(provider) //
                .setRegistrationEngineFactory(engine);
        if (args.hasNonNull("only_format")) { // the only one that the client can read and write
            ContentFormat only = format(args.get("only_format"));
            builder.setDecoder(new DefaultLwM2mDecoder(
                    Map.of(only, DefaultLwM2mDecoder.getDefaultNodeDecoders(true).get(only))));
            builder.setEncoder(new DefaultLwM2mEncoder(
                    Map.of(only, DefaultLwM2mEncoder.getDefaultNodeEncoders(true).get(only)), Map.of(),
                    new LwM2mValueChecker()));
        }
        LeshanClient client = builder.build();
        clients.put(endpoint, client);
        client.addObserver(new Observer(endpoint));
        client.start();
        return null;
    }

    private static Security bootstrapSecurity(JsonNode args, String uri) {
        if (args.has("identity"))
            return Security.pskBootstrap(uri, args.get("identity").asText().getBytes(), Keys.bytes(args, "key"));
        if (args.has("certificate"))
            return Security.x509Bootstrap(uri, Keys.bytes(args, "certificate"), Keys.bytes(args, "private_key"),
                    Keys.bytes(args, "server_certificate"));
        return Security.noSecBootstrap(uri);
    }

    private static Security serverSecurity(JsonNode args, String uri, int shortId) {
        if (args.has("identity"))
            return Security.psk(uri, shortId, args.get("identity").asText().getBytes(), Keys.bytes(args, "key"));
        if (args.has("certificate"))
            return Security.x509(uri, shortId, Keys.bytes(args, "certificate"), Keys.bytes(args, "private_key"),
                    Keys.bytes(args, "server_certificate"));
        return Security.noSec(uri, shortId);
    }

    private static ContentFormat format(JsonNode json) {
        return json.isNull() ? null : ContentFormat.fromName(json.asText());
    }

    private LeshanClient client(JsonNode args) {
        LeshanClient client = clients.get(args.get("endpoint").asText());
        if (client == null)
            throw new IllegalStateException("no client was started as " + args.get("endpoint"));
        return client;
    }

    private Object stop(JsonNode args) {
        client(args).destroy(args.path("deregister").asBoolean(true));
        clients.remove(args.get("endpoint").asText());
        return null;
    }

    private Object update(JsonNode args) {
        client(args).triggerRegistrationUpdate();
        return null;
    }

    private Object bootstrap(JsonNode args) {
        return client(args).triggerClientInitiatedBootstrap(args.path("deregister").asBoolean(true));
    }

    /** What the client itself holds, /0 too, which no server may read. */
    private Object object(JsonNode args) {
        int id = args.get("object").asInt();
        LwM2mObjectEnabler enabler = client(args).getObjectTree().getObjectEnabler(id);
        ReadResponse response = enabler.read(LwM2mServer.SYSTEM, new ReadRequest(id));
        return Nodes.toJson(response.getContent());
    }

    /** Values of these paths to the server that it is registered with. */
    private Object send(JsonNode args) throws InterruptedException {
        List<String> paths = new ArrayList<>();
        args.get("paths").forEach(path -> paths.add(path.asText()));
        ContentFormat format = args.has("format") ? format(args.get("format")) : ContentFormat.SENML_CBOR;
        LeshanClient client = client(args);
        LwM2mServer server = client.getRegisteredServers().values().iterator().next();
        return Lines.response(client.getSendService().sendData(server, format, paths, 60_000));
    }

    private class Observer implements LwM2mClientObserver {
        private final String endpoint;

        Observer(String endpoint) {
            this.endpoint = endpoint;
        }

        private void event(String kind, Object... details) {
            Map<String, Object> event = Lines.map("endpoint", endpoint);
            event.putAll(Lines.map(details));
            lines.event(kind, event);
        }

        private void failed(String kind, ResponseCode code, String message, Exception cause) {
            event(kind, "code", code == null ? null : code.getCode() / 100 + "." + String.format("%02d",
                    code.getCode() % 100), "diagnostic", message, "cause", cause == null ? null : cause.toString());
        }

        @Override
        public void onBootstrapStarted(LwM2mServer server, BootstrapRequest request) {
            event("client_bootstrap_started");
        }

        @Override
        public void onBootstrapSuccess(LwM2mServer server, BootstrapRequest request) {
            event("client_bootstrapped");
        }

        @Override
        public void onBootstrapFailure(LwM2mServer server, BootstrapRequest request, ResponseCode code, String message,
                Exception cause) {
            failed("client_bootstrap_failed", code, message, cause);
        }

        @Override
        public void onBootstrapTimeout(LwM2mServer server, BootstrapRequest request) {
            event("client_bootstrap_failed", "cause", "timeout");
        }

        @Override
        public void onRegistrationStarted(LwM2mServer server, RegisterRequest request) {
            event("client_registration_started", "uri", server.getUri());
        }

        @Override
        public void onRegistrationSuccess(LwM2mServer server, RegisterRequest request, String id) {
            event("client_registered", "uri", server.getUri(), "id", id);
        }

        @Override
        public void onRegistrationFailure(LwM2mServer server, RegisterRequest request, ResponseCode code,
                String message, Exception cause) {
            failed("client_registration_failed", code, message, cause);
        }

        @Override
        public void onRegistrationTimeout(LwM2mServer server, RegisterRequest request) {
            event("client_registration_failed", "cause", "timeout");
        }

        @Override
        public void onUpdateStarted(LwM2mServer server, UpdateRequest request) {
            event("client_update_started");
        }

        @Override
        public void onUpdateSuccess(LwM2mServer server, UpdateRequest request) {
            event("client_updated");
        }

        @Override
        public void onUpdateFailure(LwM2mServer server, UpdateRequest request, ResponseCode code, String message,
                Exception cause) {
            failed("client_update_failed", code, message, cause);
        }

        @Override
        public void onUpdateTimeout(LwM2mServer server, UpdateRequest request) {
            event("client_update_failed", "cause", "timeout");
        }

        @Override
        public void onDeregistrationStarted(LwM2mServer server, DeregisterRequest request) {
            event("client_deregistration_started");
        }

        @Override
        public void onDeregistrationSuccess(LwM2mServer server, DeregisterRequest request) {
            event("client_deregistered");
        }

        @Override
        public void onDeregistrationFailure(LwM2mServer server, DeregisterRequest request, ResponseCode code,
                String message, Exception cause) {
            failed("client_deregistration_failed", code, message, cause);
        }

        @Override
        public void onDeregistrationTimeout(LwM2mServer server, DeregisterRequest request) {
            event("client_deregistration_failed", "cause", "timeout");
        }

        @Override
        public void onUnexpectedError(Throwable error) {
            event("client_error", "cause", error.toString());
        }
    }
}
