/// The control API in OpenAPI 3.1, made of ``Endpoint``.
public struct OpenAPI: Encodable, Sendable {
    let openapi = "3.1.0"
    let info: Info
    let paths: [String: [String: Operation]]

    /// - Parameter version: of the daemon
    public init(version: String) {
        info = Info(version: version)
        paths = Dictionary(grouping: Endpoint.allCases) { $0.definition.path }.mapValues { endpoints in
            Dictionary(uniqueKeysWithValues: endpoints.map { ($0.definition.method.rawValue.lowercased(), Operation($0)) })
        }
    }

    struct Info: Encodable {
        let title = "Berth"
        let description = "The control socket: HTTP/1.1 on a Unix socket. Each operation needs a role, which x-role names."
        let version: String
    }

    struct Schema: Encodable {
        var type: String?
        var format: String?
        var minimum: Int?
        var `enum`: [String]?
        var items: [String: String]?

        enum CodingKeys: String, CodingKey {
            case type, format, minimum, `enum`, items
        }
    }

    struct Parameter: Encodable {
        let name: String
        let `in`: String
        let required: Bool
        let schema: Schema

        init(path name: String) {
            self.name = name
            `in` = "path"
            required = true
            schema = name == "action" ? Schema(type: "string", enum: WorkloadAction.allCases.map(\.rawValue)) : Schema(type: "string")
        }

        init(_ parameter: EndpointDefinition.Parameter) {
            name = parameter.name
            `in` = "query"
            required = parameter.isNeeded
            if parameter.isList {
                schema = Schema(type: "array", items: ["type": "string"])
            } else {
                schema =
                    switch parameter.kind {
                    case .text: Schema(type: "string")
                    case .time: Schema(type: "string", format: "date-time")
                    case .number: Schema(type: "integer", minimum: 1)
                    case .flag: Schema(type: "string", enum: ["0", "1"])
                    }
            }
        }
    }

    struct Media: Encodable {
        let schema: Schema

        init(_ content: EndpointDefinition.Content) {
            schema =
                switch content {
                case .json: Schema()
                case .tar: Schema(type: "string", format: "binary")
                case .lines, .text, .events: Schema(type: "string")
                }
        }

        static func of(_ content: EndpointDefinition.Content) -> [String: Media] { [content.rawValue: Media(content)] }
    }

    struct Body: Encodable {
        let required = true
        let content: [String: Media]
    }

    struct Answer: Encodable {
        let description: String
        let content: [String: Media]
    }

    struct Operation: Encodable {
        let operationId: String
        let summary: String
        let parameters: [Parameter]
        let requestBody: Body?
        let responses: [String: Answer]
        let role: Role

        enum CodingKeys: String, CodingKey {
            case operationId, summary, parameters, requestBody, responses
            case role = "x-role"
        }

        init(_ endpoint: Endpoint) {
            let definition = endpoint.definition
            operationId = endpoint.rawValue
            summary = definition.summary
            role = definition.role
            let parts = definition.path.split(separator: "/").filter { $0.hasPrefix("{") }.map { String($0.dropFirst().dropLast()) }
            parameters = parts.map(Parameter.init(path:)) + definition.parameters.map(Parameter.init)
            requestBody = definition.body.map { Body(content: Media.of($0)) }
            let failure = Answer(description: "It was refused, or failed: a sentence that says why", content: Media.of(.json))
            responses = ["200": Answer(description: "Done", content: Media.of(definition.answer)), "default": failure]
        }
    }
}
