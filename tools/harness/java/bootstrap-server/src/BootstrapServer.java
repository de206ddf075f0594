import static java.util.Collections.synchronizedMap;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.databind.DeserializationContext;
import com.fasterxml.jackson.databind.JsonDeserializer;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.module.SimpleModule;

import org.eclipse.leshan.core.endpoint.Protocol;
import org.eclipse.leshan.core.model.LwM2mModel;
import org.eclipse.leshan.core.model.ObjectLoader;
import org.eclipse.leshan.core.model.StaticModel;
import org.eclipse.leshan.core.node.LwM2mPath;
import org.eclipse.leshan.core.peer.LwM2mPeer;
import org.eclipse.leshan.core.request.BootstrapDeleteRequest;
import org.eclipse.leshan.core.request.BootstrapDiscoverRequest;
import org.eclipse.leshan.core.request.BootstrapDownlinkRequest;
import org.eclipse.leshan.core.request.BootstrapFinishRequest;
import org.eclipse.leshan.core.request.BootstrapReadRequest;
import org.eclipse.leshan.core.request.BootstrapRequest;
import org.eclipse.leshan.core.request.BootstrapWriteRequest;
import org.eclipse.leshan.core.request.ContentFormat;
import org.eclipse.leshan.core.response.BootstrapDiscoverResponse;
import org.eclipse.leshan.core.response.BootstrapReadResponse;
import org.eclipse.leshan.core.response.LwM2mResponse;
import org.eclipse.leshan.core.util.Hex;
import org.eclipse.leshan.core.util.datatype.ULong;
import org.eclipse.leshan.server.bootstrap.BootstrapConfig;
import org.eclipse.leshan.server.bootstrap.BootstrapConfigStoreTaskProvider;
import org.eclipse.leshan.server.bootstrap.BootstrapFailureCause;
import org.eclipse.leshan.server.bootstrap.BootstrapSession;
import org.eclipse.leshan.server.bootstrap.BootstrapSessionListener;
import org.eclipse.leshan.server.bootstrap.BootstrapTaskProvider;
import org.eclipse.leshan.server.bootstrap.DefaultBootstrapSession;
import org.eclipse.leshan.server.bootstrap.DefaultBootstrapSessionManager;
import org.eclipse.leshan.server.bootstrap.DefaultBootstrapAuthorizer;
import org.eclipse.leshan.server.bootstrap.InMemoryBootstrapConfigStore;
import org.eclipse.leshan.server.bootstrap.LeshanBootstrapServer;
import org.eclipse.leshan.server.bootstrap.LeshanBootstrapServerBuilder;
import org.eclipse.leshan.server.californium.bootstrap.endpoint.CaliforniumBootstrapServerEndpointsProvider;
import org.eclipse.leshan.server.californium.bootstrap.endpoint.coap.CoapBootstrapServerProtocolProvider;
import org.eclipse.leshan.server.californium.bootstrap.endpoint.coaps.CoapsBootstrapServerProtocolProvider;
import org.eclipse.leshan.server.model.StandardBootstrapModelProvider;
import org.eclipse.leshan.server.security.BootstrapSecurityStoreAdapter;
import org.eclipse.leshan.server.security.InMemorySecurityStore;
import org.eclipse.leshan.server.security.SecurityInfo;

/** Leshan's bootstrap server; leshan.py lists the commands and events. */
public class BootstrapServer implements BootstrapSessionListener {
    private final Lines lines = new Lines();
    private final ObjectMapper configMapper = new ObjectMapper();
    private final LwM2mModel model = new StaticModel(ObjectLoader.loadDefault());
    private final InMemoryBootstrapConfigStore configs = new InMemoryBootstrapConfigStore();
    private final Map<String, List<BootstrapDownlinkRequest<?>>> sequences = synchronizedMap(new HashMap<>());
    private final InMemorySecurityStore securityInfos = new InMemorySecurityStore();
    private final BootstrapSecurityStoreAdapter securityStore = new BootstrapSecurityStoreAdapter(securityInfos);
    private LeshanBootstrapServer server;

    public static void main(String[] args) throws Exception {
        new BootstrapServer().run();
    }

    private void run() throws Exception {
        // What Jackson does not know how to read into Leshan's BootstrapConfig.
        configMapper.registerModule(new SimpleModule() //
                .addDeserializer(ContentFormat.class, from(json -> format(json))) //
                .addDeserializer(ULong.class, from(json -> ULong.valueOf(json.bigIntegerValue()))) //
                .addDeserializer(byte[].class, from(json -> Hex.decodeHex(json.asText().toCharArray()))));
        lines.command("start", this::start);
        lines.command("secure", this::secure);
        lines.command("configure", this::configure);
        lines.command("sequence", this::sequence);
        lines.command("forget", this::forget);
        lines.command("stop", this::stop);
        lines.run();
    }

    private interface Reader<T> {
        T read(JsonNode json);
    }

    private static <T> JsonDeserializer<T> from(Reader<T> reader) {
        return new JsonDeserializer<T>() {
            @Override
            public T deserialize(JsonParser parser, DeserializationContext context) throws IOException {
                return reader.read(parser.readValueAsTree());
            }
        };
    }

    private static ContentFormat format(JsonNode json) {
        return json == null || json.isNull() ? null : ContentFormat.fromName(json.asText());
    }

    // ---- commands

    private Object start(JsonNode args) throws Exception {
        CaliforniumBootstrapServerEndpointsProvider endpoints = new CaliforniumBootstrapServerEndpointsProvider.Builder(
                new CoapBootstrapServerProtocolProvider(), new CoapsBootstrapServerProtocolProvider())
                .addEndpoint(address(args, "port"), Protocol.COAP) //
                .addEndpoint(address(args, "secure_port"), Protocol.COAPS).build();
        LeshanBootstrapServerBuilder builder = new LeshanBootstrapServerBuilder() //
                .setEndpointsProviders(endpoints) //
                .setSessionManager(new SessionManager()) //
                .setSecurityStore(securityStore);
        if (args.has("certificate"))
            builder.setCertificateChain(Keys.certificates(args, "certificate"))
                    .setPrivateKey(Keys.privateKey(args, "private_key"))
                    .setTrustedCertificates(Keys.certificates(args, "trusted"));
        server = builder.build();
        server.addListener(this);
        server.start();
        int port = server.getEndpoint(Protocol.COAP).getURI().getPort();
        int secure = server.getEndpoint(Protocol.COAPS).getURI().getPort();
        return Lines.map("port", port, "uri", "coap://127.0.0.1:" + port, //
                "secure_port", secure, "secure_uri", "coaps://127.0.0.1:" + secure);
    }

    private static InetSocketAddress address(JsonNode args, String port) {
        return new InetSocketAddress("127.0.0.1", args.path(port).asInt(0));
    }

    private Object secure(JsonNode args) throws Exception {
        String endpoint = args.get("endpoint").asText();
        securityInfos.remove(endpoint, true);
        if (args.hasNonNull("identity"))
            securityInfos.add(SecurityInfo.newPreSharedKeyInfo(endpoint, args.get("identity").asText(),
                    Keys.bytes(args, "key")));
        else if (args.path("certificate").asBoolean())
            securityInfos.add(SecurityInfo.newX509CertInfo(endpoint));
        else if (args.hasNonNull("public_key"))
            securityInfos.add(SecurityInfo.newRawPublicKeyInfo(endpoint, Keys.publicKey(args, "public_key")));
        return null;
    }

    private Object configure(JsonNode args) throws Exception {
        String endpoint = args.get("endpoint").asText();
        BootstrapConfig config = configMapper.treeToValue(args.get("config"), BootstrapConfig.class);
        sequences.remove(endpoint);
        configs.remove(endpoint);
        configs.add(endpoint, config);
        return null;
    }

    private Object sequence(JsonNode args) {
        List<BootstrapDownlinkRequest<?>> requests = new ArrayList<>();
        for (JsonNode request : args.get("requests"))
            requests.add(toRequest(request));
        sequences.put(args.get("endpoint").asText(), requests);
        return null;
    }

    private BootstrapDownlinkRequest<?> toRequest(JsonNode json) {
        String operation = json.get("operation").asText();
        String path = json.path("path").asText("/");
        switch (operation) {
        case "discover":
            return new BootstrapDiscoverAnyRequest(path);
        case "read":
            return new BootstrapReadRequest(format(json.get("format")), path);
        case "delete":
            return new BootstrapDeleteRequest(path);
        case "write":
            LwM2mPath target = new LwM2mPath(path);
            return new BootstrapWriteRequest(target, Nodes.toNode(target, json.get("value"), model),
                    format(json.get("format")));
        case "finish":
            return new BootstrapFinishRequest();
        default:
            throw new IllegalArgumentException("unknown operation " + operation);
        }
    }

    /** Leshan would not ask about anything deeper than an object; how a client refuses that is worth a test. */
    private static class BootstrapDiscoverAnyRequest extends BootstrapDiscoverRequest {
        private final LwM2mPath path;

        BootstrapDiscoverAnyRequest(String path) {
            this.path = new LwM2mPath(path);
        }

        @Override
        public LwM2mPath getPath() {
            return path;
        }
    }

    private Object forget(JsonNode args) {
        sequences.remove(args.get("endpoint").asText());
        configs.remove(args.get("endpoint").asText());
        return null;
    }

    private Object stop(JsonNode args) {
        server.destroy();
        return null;
    }

    /** Leshan's own tasks for a configuration; for a sequence its requests as they are. */
    private class TaskProvider extends BootstrapConfigStoreTaskProvider {
        TaskProvider() {
            super(configs);
        }

        @Override
        public BootstrapTaskProvider.Tasks getTasks(BootstrapSession session, List<LwM2mResponse> previous) {
            List<BootstrapDownlinkRequest<?>> requests = sequences.get(session.getEndpoint());
            if (requests == null)
                return super.getTasks(session, previous);
            Tasks tasks = new Tasks();
            tasks.requestsToSend = new ArrayList<>(requests);
            tasks.supportedObjects = Map.of(0, "1.1", 1, "1.1", 2, "1.0", 3, "1.1");
            return tasks;
        }
    }

    /** A sequence may go on after a refused Finish, to mend what was wrong; Leshan alone would give up. */
    private class SessionManager extends DefaultBootstrapSessionManager {
        SessionManager() {
            super(new TaskProvider(), new StandardBootstrapModelProvider(), new DefaultBootstrapAuthorizer(securityStore));
        }

        @Override
        public BootstrapPolicy onResponseError(BootstrapSession session, BootstrapDownlinkRequest<?> request,
                LwM2mResponse response) {
            boolean more = !((DefaultBootstrapSession) session).getRequests().isEmpty();
            if (request instanceof BootstrapFinishRequest && more)
                return BootstrapPolicy.continueWith(getFirstRequest(session));
            return super.onResponseError(session, request, response);
        }
    }

    // ---- events

    private static Map<String, Object> describe(BootstrapSession session, BootstrapDownlinkRequest<?> request) {
        String name = request.getClass().getSimpleName(); // BootstrapWriteRequest and so on
        String operation = name.substring("Bootstrap".length(), name.length() - "Request".length()).toLowerCase();
        if (request instanceof BootstrapDiscoverRequest)
            operation = "discover";
        ContentFormat format = request instanceof BootstrapWriteRequest write ? write.getContentFormat() : null;
        return Lines.map("endpoint", session.getEndpoint(), "operation", operation, //
                "path", request instanceof BootstrapFinishRequest ? null : request.getPath().toString(), //
                "format", format == null ? null : format.getName());
    }

    @Override
    public void sessionInitiated(BootstrapRequest request, LwM2mPeer client) {
        ContentFormat format = request.getPreferredContentFormat();
        lines.event("session_initiated", Lines.map("endpoint", request.getEndpointName(), //
                "preferred_format", format == null ? null : format.getName()));
    }

    @Override
    public void unAuthorized(BootstrapRequest request, LwM2mPeer client) {
        lines.event("session_unauthorized", Lines.map("endpoint", request.getEndpointName()));
    }

    @Override
    public void authorized(BootstrapSession session) {
        lines.event("session_authorized", Lines.map("endpoint", session.getEndpoint()));
    }

    @Override
    public void noConfig(BootstrapSession session) {
        lines.event("session_no_config", Lines.map("endpoint", session.getEndpoint()));
    }

    @Override
    public void sendRequest(BootstrapSession session, BootstrapDownlinkRequest<? extends LwM2mResponse> request) {
        lines.event("request", describe(session, request));
    }

    @Override
    public void onResponseSuccess(BootstrapSession session,
            BootstrapDownlinkRequest<? extends LwM2mResponse> request, LwM2mResponse response) {
        Map<String, Object> event = describe(session, request);
        event.putAll(Lines.response(response));
        if (response instanceof BootstrapReadResponse read)
            event.put("content", Nodes.toJson(read.getContent()));
        if (response instanceof BootstrapDiscoverResponse discover) {
            List<String> links = new ArrayList<>();
            for (var link : discover.getObjectLinks())
                links.add(link.toCoreLinkFormat());
            event.put("links", links);
        }
        lines.event("response", event);
    }

    @Override
    public void onResponseError(BootstrapSession session, BootstrapDownlinkRequest<? extends LwM2mResponse> request,
            LwM2mResponse response) {
        Map<String, Object> event = describe(session, request);
        event.putAll(Lines.response(response));
        lines.event("response", event);
    }

    @Override
    public void onRequestFailure(BootstrapSession session, BootstrapDownlinkRequest<? extends LwM2mResponse> request,
            Throwable cause) {
        Map<String, Object> event = describe(session, request);
        event.put("cause", cause.toString());
        lines.event("request_failed", event);
    }

    @Override
    public void end(BootstrapSession session) {
        lines.event("session_finished", Lines.map("endpoint", session.getEndpoint()));
    }

    @Override
    public void failed(BootstrapSession session, BootstrapFailureCause cause) {
        lines.event("session_failed", Lines.map("endpoint", session.getEndpoint(), "cause", cause.name()));
    }
}
