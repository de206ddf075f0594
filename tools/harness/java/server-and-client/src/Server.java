import java.net.InetSocketAddress;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

import com.fasterxml.jackson.databind.JsonNode;

import org.eclipse.californium.core.coap.Response;
import org.eclipse.leshan.core.endpoint.Protocol;
import org.eclipse.leshan.core.link.Link;
import org.eclipse.leshan.core.link.lwm2m.attributes.DefaultLwM2mAttributeParser;
import org.eclipse.leshan.core.link.lwm2m.attributes.LwM2mAttributeSet;
import org.eclipse.leshan.core.model.LwM2mModel;
import org.eclipse.leshan.core.model.ObjectLoader;
import org.eclipse.leshan.core.model.ObjectModel;
import org.eclipse.leshan.core.node.LwM2mNode;
import org.eclipse.leshan.core.node.LwM2mObjectInstance;
import org.eclipse.leshan.core.node.LwM2mPath;
import org.eclipse.leshan.core.node.TimestampedLwM2mNode;
import org.eclipse.leshan.core.node.TimestampedLwM2mNodes;
import org.eclipse.leshan.core.observation.CompositeObservation;
import org.eclipse.leshan.core.observation.Observation;
import org.eclipse.leshan.core.observation.SingleObservation;
import org.eclipse.leshan.core.request.BindingMode;
import org.eclipse.leshan.core.request.CancelCompositeObservationRequest;
import org.eclipse.leshan.core.request.CancelObservationRequest;
import org.eclipse.leshan.core.request.ContentFormat;
import org.eclipse.leshan.core.request.CreateRequest;
import org.eclipse.leshan.core.request.DeleteRequest;
import org.eclipse.leshan.core.request.DiscoverRequest;
import org.eclipse.leshan.core.request.DownlinkDeviceManagementRequest;
import org.eclipse.leshan.core.request.ExecuteRequest;
import org.eclipse.leshan.core.request.ObserveCompositeRequest;
import org.eclipse.leshan.core.request.ObserveRequest;
import org.eclipse.leshan.core.request.ReadCompositeRequest;
import org.eclipse.leshan.core.request.ReadRequest;
import org.eclipse.leshan.core.request.SendRequest;
import org.eclipse.leshan.core.request.WriteAttributesRequest;
import org.eclipse.leshan.core.request.WriteCompositeRequest;
import org.eclipse.leshan.core.request.WriteRequest;
import org.eclipse.leshan.core.response.CreateResponse;
import org.eclipse.leshan.core.response.DiscoverResponse;
import org.eclipse.leshan.core.response.LwM2mResponse;
import org.eclipse.leshan.core.response.ObserveCompositeResponse;
import org.eclipse.leshan.core.response.ObserveResponse;
import org.eclipse.leshan.core.response.ReadCompositeResponse;
import org.eclipse.leshan.core.response.ReadResponse;
import org.eclipse.leshan.server.LeshanServer;
import org.eclipse.leshan.server.LeshanServerBuilder;
import org.eclipse.leshan.server.model.VersionedModelProvider;
import org.eclipse.leshan.server.observation.ObservationListener;
import org.eclipse.leshan.server.registration.Registration;
import org.eclipse.leshan.server.registration.RegistrationListener;
import org.eclipse.leshan.server.registration.RegistrationUpdate;
import org.eclipse.leshan.server.send.SendListener;
import org.eclipse.leshan.servers.security.InMemorySecurityStore;
import org.eclipse.leshan.servers.security.SecurityInfo;
import org.eclipse.leshan.transport.californium.server.endpoint.CaliforniumServerEndpointsProvider;
import org.eclipse.leshan.transport.californium.server.endpoint.coap.CoapServerProtocolProvider;
import org.eclipse.leshan.transport.californium.server.endpoint.coaps.CoapsServerProtocolProvider;

class Server implements RegistrationListener, ObservationListener, SendListener {
    private final Lines lines;
    private final InMemorySecurityStore securityInfos = new InMemorySecurityStore();
    private LeshanServer server;

    Server(Lines lines) {
        this.lines = lines;
        lines.command("start_server", this::start);
        lines.command("secure", this::secure);
        lines.command("stop_server", this::stop);
        lines.command("registrations", this::registrations);
        lines.command("read", args -> send(args, new ReadRequest(format(args), path(args))));
        lines.command("discover", args -> send(args, new DiscoverRequest(path(args))));
        lines.command("execute", args -> send(args, new ExecuteRequest(path(args), text(args, "arguments"))));
        lines.command("delete", args -> send(args, new DeleteRequest(path(args))));
        lines.command("observe", args -> send(args, new ObserveRequest(format(args), path(args))));
        lines.command("cancel", this::cancel);
        lines.command("write", this::write);
        lines.command("create", this::create);
        lines.command("write_attributes", this::writeAttributes);
        lines.command("read_composite", args -> send(args,
                new ReadCompositeRequest(senml(args, "format"), senml(args, "accept"), paths(args))));
        lines.command("observe_composite", args -> send(args,
                new ObserveCompositeRequest(senml(args, "format"), senml(args, "accept"), paths(args))));
        lines.command("write_composite", this::writeComposite);
        lines.command("cancel_composite", this::cancelComposite);
    }

    private static String text(JsonNode args, String name) {
        return args.hasNonNull(name) ? args.get(name).asText() : null;
    }

    private static String path(JsonNode args) {
        return args.get("path").asText();
    }

    private static ContentFormat format(JsonNode args) {
        return args.hasNonNull("format") ? ContentFormat.fromName(args.get("format").asText()) : null;
    }

    /** SenML CBOR is what Leshan's page has by default. */
    private static ContentFormat senml(JsonNode args, String name) {
        return args.hasNonNull(name) ? ContentFormat.fromName(args.get(name).asText()) : ContentFormat.SENML_CBOR;
    }

    private static String[] paths(JsonNode args) {
        List<String> paths = new ArrayList<>();
        args.get("paths").forEach(path -> paths.add(path.asText()));
        return paths.toArray(new String[0]);
    }

    private Registration registration(JsonNode args) {
        String endpoint = args.get("endpoint").asText();
        Registration registration = server.getRegistrationService().getByEndpoint(endpoint);
        if (registration == null)
            throw new IllegalStateException(endpoint + " is not registered");
        return registration;
    }

    private LwM2mModel model(JsonNode args) {
        return server.getModelProvider().getObjectModel(registration(args));
    }

    // ---- commands

    private Object start(JsonNode args) throws Exception {
        List<ObjectModel> models = ObjectLoader.loadAllDefault();
        models.addAll(Nodes.toModels(args.get("models")));
        CaliforniumServerEndpointsProvider endpoints = new CaliforniumServerEndpointsProvider.Builder(
                new CoapServerProtocolProvider(), new CoapsServerProtocolProvider()) //
                .addEndpoint(address(args, "port"), Protocol.COAP) //
                .addEndpoint(address(args, "secure_port"), Protocol.COAPS).build();
        LeshanServerBuilder builder = new LeshanServerBuilder() //
                .setEndpointsProviders(endpoints) //
                .setSecurityStore(securityInfos) //
                .setObjectModelProvider(new VersionedModelProvider(models));
        if (args.has("certificate"))
            builder.setCertificateChain(Keys.certificates(args, "certificate"))
                    .setPrivateKey(Keys.privateKey(args, "private_key"))
                    .setTrustedCertificates(Keys.certificates(args, "trusted"));
        server = builder.build();
        server.getRegistrationService().addListener(this);
        server.getObservationService().addListener(this);
        server.getSendService().addListener(this);
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
        securityInfos.remove(endpoint, !args.path("keep_sessions").asBoolean());
        if (args.hasNonNull("identity"))
            securityInfos.add(SecurityInfo.newPreSharedKeyInfo(endpoint, args.get("identity").asText(),
                    Keys.bytes(args, "key")));
        else if (args.path("certificate").asBoolean())
            securityInfos.add(SecurityInfo.newX509CertInfo(endpoint));
        else if (args.hasNonNull("public_key"))
            securityInfos.add(SecurityInfo.newRawPublicKeyInfo(endpoint, Keys.publicKey(args, "public_key")));
        return null;
    }

    private Object stop(JsonNode args) {
        server.destroy();
        return null;
    }

    private Object registrations(JsonNode args) {
        List<Object> list = new ArrayList<>();
        for (Iterator<Registration> i = server.getRegistrationService().getAllRegistrations(); i.hasNext();)
            list.add(describe(i.next()));
        return list;
    }

    private <T extends LwM2mResponse> Map<String, Object> send(JsonNode args, DownlinkDeviceManagementRequest<T> request)
            throws InterruptedException {
        long timeout = args.path("timeout_ms").asLong(60_000);
        T response = server.send(registration(args), request, timeout);
        if (response == null)
            throw new IllegalStateException("no response within " + timeout + " ms");
        Map<String, Object> answer = Lines.response(response);
        addContent(answer, response);
        if (response instanceof DiscoverResponse discover && discover.getObjectLinks() != null)
            answer.put("links", links(discover.getObjectLinks()));
        if (response instanceof CreateResponse create && create.getLocation() != null)
            answer.put("location", create.getLocation());
        return answer;
    }

    private static void addContent(Map<String, Object> answer, LwM2mResponse response) {
        if (response instanceof ReadResponse read && read.getContent() != null)
            answer.put("content", Nodes.toJson(read.getContent()));
        if (response instanceof ReadCompositeResponse read && read.getContent() != null)
            answer.put("content", content(read.getContent()));
        if (response.getCoapResponse() instanceof Response coap && coap.getOptions().hasContentFormat())
            answer.put("content_format", coap.getOptions().getContentFormat());
    }

    /** By path; what the client has left out is null. */
    private static Map<String, Object> content(Map<LwM2mPath, LwM2mNode> nodes) {
        Map<String, Object> map = new TreeMap<>();
        nodes.forEach((path, node) -> map.put(path.toString(), Nodes.toJson(node)));
        return map;
    }

    private Object writeComposite(JsonNode args) throws InterruptedException {
        Map<String, Object> values = new HashMap<>();
        LwM2mModel model = model(args);
        args.get("values").fields().forEachRemaining(
                e -> values.put(e.getKey(), Nodes.toValue(new LwM2mPath(e.getKey()), e.getValue(), model)));
        return send(args, new WriteCompositeRequest(senml(args, "format"), values));
    }

    private Object write(JsonNode args) throws InterruptedException {
        LwM2mPath path = new LwM2mPath(path(args));
        WriteRequest.Mode mode = args.path("partial").asBoolean() ? WriteRequest.Mode.UPDATE
                : WriteRequest.Mode.REPLACE;
        return send(args, new WriteRequest(mode, format(args), path, Nodes.toNode(path, args.get("value"), model(args))));
    }

    private Object create(JsonNode args) throws InterruptedException {
        int object = new LwM2mPath(path(args)).getObjectId();
        if (args.has("resources")) // the client chooses the instance id
            return send(args, new CreateRequest(format(args), object,
                    Nodes.toResources(object, args.get("resources"), model(args))));
        List<LwM2mObjectInstance> instances = new ArrayList<>();
        for (Iterator<String> i = args.get("instances").fieldNames(); i.hasNext();) {
            String id = i.next();
            instances.add(Nodes.toInstance(object, Integer.parseInt(id), args.get("instances").get(id), model(args)));
        }
        return send(args, new CreateRequest(format(args), object, instances.toArray(new LwM2mObjectInstance[0])));
    }

    private Object writeAttributes(JsonNode args) throws Exception {
        LwM2mAttributeSet attributes = new LwM2mAttributeSet(
                new DefaultLwM2mAttributeParser().parseUriQuery(args.get("attributes").asText()));
        return send(args, new WriteAttributesRequest(path(args), attributes));
    }

    /** With a GET that says so; or, when passive, by a reset of the next notification. */
    private Object cancel(JsonNode args) throws InterruptedException {
        Registration registration = registration(args);
        if (args.path("passive").asBoolean())
            return server.getObservationService().cancelObservations(registration, path(args));
        for (Observation observation : server.getObservationService().getObservations(registration))
            if (observation instanceof SingleObservation single && single.getPath().toString().equals(path(args)))
                return send(args, new CancelObservationRequest(single));
        throw new IllegalStateException(path(args) + " is not observed");
    }

    private Object cancelComposite(JsonNode args) throws InterruptedException {
        Registration registration = registration(args);
        for (Observation observation : server.getObservationService().getObservations(registration))
            if (observation instanceof CompositeObservation composite) {
                if (!args.path("passive").asBoolean())
                    return send(args, new CancelCompositeObservationRequest(composite));
                server.getObservationService().cancelObservation(observation);
                return null;
            }
        throw new IllegalStateException("there is no composite observation");
    }

    // ---- events

    private static List<String> links(Link[] links) {
        List<String> list = new ArrayList<>();
        for (Link link : links)
            list.add(link.toCoreLinkFormat());
        return list;
    }

    private static Map<String, Object> describe(Registration registration) {
        return Lines.map("endpoint", registration.getEndpoint(), "id", registration.getId(), //
                "port", registration.getPort(), "lifetime", registration.getLifeTimeInSec(), //
                "version", registration.getLwM2mVersion().toString(), //
                "binding", BindingMode.toString(registration.getBindingMode()), //
                "queue_mode", registration.getQueueMode(), //
                "links", links(registration.getSortedObjectLinks()), //
                "attributes", registration.getAdditionalRegistrationAttributes());
    }

    @Override
    public void registered(Registration registration, Registration previous, Collection<Observation> observations) {
        Map<String, Object> event = describe(registration);
        event.put("replaces", previous == null ? null : previous.getId());
        lines.event("registered", event);
    }

    @Override
    public void updated(RegistrationUpdate update, Registration registration, Registration previous) {
        lines.event("updated", describe(registration));
    }

    @Override
    public void unregistered(Registration registration, Collection<Observation> observations, boolean expired,
            Registration replacement) {
        Map<String, Object> event = describe(registration);
        event.put("expired", expired);
        event.put("replaced", replacement != null);
        lines.event("unregistered", event);
    }

    @Override
    public void newObservation(Observation observation, Registration registration) {
    }

    @Override
    public void cancelled(Observation observation) {
        if (observation instanceof SingleObservation single)
            lines.event("observation_cancelled", Lines.map("path", single.getPath().toString()));
    }

    @Override
    public void onResponse(SingleObservation observation, Registration registration, ObserveResponse response) {
        Map<String, Object> event = Lines.response(response);
        event.put("endpoint", registration.getEndpoint());
        event.put("path", observation.getPath().toString());
        addContent(event, response);
        if (response.getTimestampedLwM2mNodes() != null) {
            List<Object> list = new ArrayList<>();
            for (TimestampedLwM2mNode node : response.getTimestampedLwM2mNodes())
                list.add(Lines.map("time", node.isTimestamped() ? node.getTimestamp().getEpochSecond() : null, //
                        "value", Nodes.toJson(node.getNode())));
            event.put("history", list);
        }
        lines.event("notification", event);
    }

    @Override
    public void onResponse(CompositeObservation observation, Registration registration,
            ObserveCompositeResponse response) {
        Map<String, Object> event = Lines.response(response);
        event.put("endpoint", registration.getEndpoint());
        addContent(event, response);
        lines.event("composite_notification", event);
    }

    @Override
    public void onError(Observation observation, Registration registration, Exception error) {
        lines.event("notification_failed", Lines.map("cause", error.toString()));
    }

    @Override
    public void dataReceived(Registration registration, TimestampedLwM2mNodes data, SendRequest request) {
        List<Object> list = new ArrayList<>();
        for (Instant time : data.getTimestamps())
            list.add(Lines.map("time", time == null ? null : time.getEpochSecond(), //
                    "values", content(data.getNodesAt(time))));
        lines.event("sent", Lines.map("endpoint", registration.getEndpoint(), "data", list));
    }

    @Override
    public void onError(Registration registration, String message, Exception error) {
        lines.event("send_failed", Lines.map("cause", message));
    }
}
