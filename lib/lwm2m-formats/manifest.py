metadata(description="LwM2M: CBOR, SenML and LwM2M CBOR.", version="0.1.0")

require("lwm2m")

# Content-Formats: cbor_value 60, senml_cbor 112, senml_json 110, lwm2m_cbor 11544. An image may name
# those that it is to have.
options.defaults(formats="cbor_value senml_cbor senml_json lwm2m_cbor")
names = set(options.formats.split())
if names & {"senml_cbor", "senml_json"}:
    names.add("senml")
if "lwm2m_cbor" in names:
    names.add("cbor_value")
package("lwm2m", files=["cbor.py"] + [name + ".py" for name in sorted(names)], opt=3)
