import java.math.BigInteger;
import java.util.ArrayList;
import java.util.Date;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

import com.fasterxml.jackson.databind.JsonNode;

import org.eclipse.leshan.core.link.Link;
import org.eclipse.leshan.core.model.LwM2mModel;
import org.eclipse.leshan.core.model.ObjectModel;
import org.eclipse.leshan.core.model.ResourceModel;
import org.eclipse.leshan.core.model.ResourceModel.Operations;
import org.eclipse.leshan.core.model.ResourceModel.Type;
import org.eclipse.leshan.core.node.LwM2mMultipleResource;
import org.eclipse.leshan.core.node.LwM2mNode;
import org.eclipse.leshan.core.node.LwM2mObject;
import org.eclipse.leshan.core.node.LwM2mObjectInstance;
import org.eclipse.leshan.core.node.LwM2mPath;
import org.eclipse.leshan.core.node.LwM2mResource;
import org.eclipse.leshan.core.node.LwM2mResourceInstance;
import org.eclipse.leshan.core.node.LwM2mRoot;
import org.eclipse.leshan.core.node.LwM2mSingleResource;
import org.eclipse.leshan.core.node.ObjectLink;
import org.eclipse.leshan.core.util.Hex;
import org.eclipse.leshan.core.util.datatype.ULong;

/**
 * Values as JSON: an object is {"instance": {"resource": value}}, an instance {"resource": value}, a multiple resource
 * {"instance": value}; opaque is {"hex": "00ff"}, a time whole seconds, an object link "object:instance".
 */
public class Nodes {
    private Nodes() {
    }

    public static Object toJson(LwM2mNode node) {
        Map<String, Object> map = new TreeMap<>();
        if (node == null) {
            return null;
        } else if (node instanceof LwM2mRoot root) {
            root.getObjects().forEach((id, object) -> map.put(id.toString(), toJson(object)));
            return map;
        } else if (node instanceof LwM2mObject object) {
            object.getInstances().forEach((id, instance) -> map.put(id.toString(), toJson(instance)));
            return map;
        } else if (node instanceof LwM2mObjectInstance instance) {
            instance.getResources().forEach((id, resource) -> map.put(id.toString(), toJson(resource)));
            return map;
        } else if (node instanceof LwM2mMultipleResource resource) {
            resource.getInstances().forEach((id, instance) -> map.put(id.toString(), toJson(instance)));
            return map;
        } else if (node instanceof LwM2mSingleResource resource) {
            return toJson(resource.getValue());
        } else if (node instanceof LwM2mResourceInstance instance) {
            return toJson(instance.getValue());
        }
        return node.toString();
    }

    private static Object toJson(Object value) {
        if (value instanceof byte[] bytes)
            return Map.of("hex", Hex.encodeHexString(bytes));
        if (value instanceof Date date)
            return date.getTime() / 1000;
        if (value instanceof ULong number)
            return new BigInteger(number.toString());
        if (value instanceof ObjectLink link)
            return link.encodeToString();
        if (value instanceof Link[] links) {
            List<String> list = new ArrayList<>();
            for (Link link : links)
                list.add(link.toCoreLinkFormat());
            return String.join(",", list);
        }
        return value;
    }

    public static LwM2mNode toNode(LwM2mPath path, JsonNode json, LwM2mModel model) {
        if (path.isObject()) {
            List<LwM2mObjectInstance> instances = new ArrayList<>();
            for (Iterator<String> i = json.fieldNames(); i.hasNext();) {
                String id = i.next();
                instances.add(toInstance(path.getObjectId(), Integer.parseInt(id), json.get(id), model));
            }
            return new LwM2mObject(path.getObjectId(), instances);
        }
        if (path.isObjectInstance())
            return toInstance(path.getObjectId(), path.getObjectInstanceId(), json, model);
        if (path.isResourceInstance())
            return LwM2mResourceInstance.newInstance(path.getResourceInstanceId(), toValue(path, json, model),
                    typeOf(path, json, model));
        return toResource(path.getObjectId(), path.getResourceId(), json, model);
    }

    public static LwM2mObjectInstance toInstance(int object, int instance, JsonNode json, LwM2mModel model) {
        return new LwM2mObjectInstance(instance, toResources(object, json, model));
    }

    public static List<LwM2mResource> toResources(int object, JsonNode json, LwM2mModel model) {
        List<LwM2mResource> resources = new ArrayList<>();
        for (Iterator<String> i = json.fieldNames(); i.hasNext();) {
            String id = i.next();
            resources.add(toResource(object, Integer.parseInt(id), json.get(id), model));
        }
        return resources;
    }

    private static LwM2mResource toResource(int object, int resource, JsonNode json, LwM2mModel model) {
        ResourceModel known = model.getResourceModel(object, resource);
        boolean multiple = json.isObject() && !json.has("hex");
        Type type = known != null ? known.type : typeOf(multiple ? json.elements().next() : json);
        if (!multiple)
            return LwM2mSingleResource.newResource(resource, toValue(json, type), type);
        Map<Integer, Object> values = new HashMap<>();
        for (Iterator<String> i = json.fieldNames(); i.hasNext();) {
            String id = i.next();
            values.put(Integer.parseInt(id), toValue(json.get(id), type));
        }
        return LwM2mMultipleResource.newResource(resource, values, type);
    }

    private static Type typeOf(JsonNode json) {
        if (json.isBoolean())
            return Type.BOOLEAN;
        if (json.isIntegralNumber())
            return Type.INTEGER;
        if (json.isNumber())
            return Type.FLOAT;
        return json.isTextual() ? Type.STRING : Type.OPAQUE;
    }

    private static Type typeOf(LwM2mPath path, JsonNode json, LwM2mModel model) {
        ResourceModel known = model.getResourceModel(path.getObjectId(), path.getResourceId());
        return known != null ? known.type : typeOf(json);
    }

    /** Of a resource or one of its instances; by what it is in JSON where there is no definition. */
    public static Object toValue(LwM2mPath path, JsonNode json, LwM2mModel model) {
        return toValue(json, typeOf(path, json, model));
    }

    private static Object toValue(JsonNode json, Type type) {
        switch (type) {
        case BOOLEAN:
            return json.booleanValue();
        case INTEGER:
            return json.longValue();
        case UNSIGNED_INTEGER:
            return ULong.valueOf(json.bigIntegerValue());
        case FLOAT:
            return json.doubleValue();
        case TIME:
            return new Date(json.longValue() * 1000);
        case OPAQUE:
            return Hex.decodeHex(json.get("hex").asText().toCharArray());
        case OBJLNK:
            return ObjectLink.decodeFromString(json.asText());
        default:
            return json.asText();
        }
    }

    /** {"3303": {"5700": "FLOAT R"}} as object models, for objects that Leshan does not bring a definition of. */
    public static List<ObjectModel> toModels(JsonNode json) {
        List<ObjectModel> models = new ArrayList<>();
        if (json == null)
            return models;
        for (Iterator<String> objects = json.fieldNames(); objects.hasNext();) {
            String object = objects.next();
            List<ResourceModel> resources = new ArrayList<>();
            for (Iterator<String> i = json.get(object).fieldNames(); i.hasNext();) {
                String id = i.next();
                String[] words = json.get(object).get(id).asText().split(" ");
                Type type = words[0].equals("EXECUTE") ? Type.NONE : Type.valueOf(words[0]);
                Operations operations = type == Type.NONE ? Operations.E : Operations.valueOf(words[1]);
                boolean multiple = words.length > 2 && words[2].equals("MULTIPLE");
                resources.add(new ResourceModel(Integer.parseInt(id), id, operations, multiple, false, type, "", "", ""));
            }
            models.add(new ObjectModel(Integer.parseInt(object), object, "", ObjectModel.DEFAULT_VERSION, true, false,
                    resources));
        }
        return models;
    }
}
