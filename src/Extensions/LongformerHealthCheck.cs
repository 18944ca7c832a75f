using LongformerInterop.Tasks;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace LongformerInterop.Extensions;

/// <summary>Healthy when the model is loaded, which the first check does; else the registration's failure status with the reason.</summary>
/// <param name="service">The model.</param>
internal sealed class LongformerHealthCheck<TTask>(LongformerService<TTask> service) : IHealthCheck where TTask : TextTask
{
    public async Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
    {
        try
        {
            TTask task = await Task.Run(service.Load, cancellationToken).ConfigureAwait(false);
            return HealthCheckResult.Healthy($"{typeof(TTask).Name} of {service.Options.Folder}", new Dictionary<string, object>
            {
                ["device"] = service.Options.Device,
                ["maxTokens"] = task.MaxTokens,
            });
        }
        catch (Exception e) when (e is Torch.LongformerException or Tokenizers.TokenizerException)
        {
            return new HealthCheckResult(context.Registration.FailureStatus, e.Message, e);
        }
    }
}
