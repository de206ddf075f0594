import java.io.ByteArrayInputStream;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.PKCS8EncodedKeySpec;
import java.security.spec.X509EncodedKeySpec;

import com.fasterxml.jackson.databind.JsonNode;

import org.eclipse.leshan.core.util.Hex;

/** Keys and certificates of a command. */
public class Keys {
    private Keys() {
    }

    /** Hex; null for what is not there. */
    public static byte[] bytes(JsonNode args, String name) {
        return args.hasNonNull(name) ? Hex.decodeHex(args.get(name).asText().toCharArray()) : null;
    }

    public static X509Certificate[] certificates(JsonNode args, String name) throws GeneralSecurityException {
        CertificateFactory factory = CertificateFactory.getInstance("X.509");
        return new X509Certificate[] {
                (X509Certificate) factory.generateCertificate(new ByteArrayInputStream(bytes(args, name))) };
    }

    /** Of an elliptic curve, a SubjectPublicKeyInfo. */
    public static PublicKey publicKey(JsonNode args, String name) throws GeneralSecurityException {
        return KeyFactory.getInstance("EC").generatePublic(new X509EncodedKeySpec(bytes(args, name)));
    }

    /** Of an elliptic curve, in PKCS#8. */
    public static PrivateKey privateKey(JsonNode args, String name) throws GeneralSecurityException {
        return KeyFactory.getInstance("EC").generatePrivate(new PKCS8EncodedKeySpec(bytes(args, name)));
    }
}
